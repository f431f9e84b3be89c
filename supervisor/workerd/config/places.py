"""Where settings files lie.

One daemon's own is ``<configuration root>/NAME.toml``; what all daemons there share is in ``conf.d/``, whose
files are weaker, the last in the alphabet the strongest of them.  Weaker still are a project's own, in the
directory that the daemon works in: ``workerd.toml``, then ``[tool.workerd]`` in ``pyproject.toml``.

Errors: PermissionDeniedError; ConfigError for a name that cannot be used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from workerd.errors import PermissionDeniedError
from workerd.paths import NAME, check_name

logger = logging.getLogger(__name__)

PROJECT = "workerd.toml"
PYPROJECT = "pyproject.toml"


def config_root() -> Path:
    """The directory of the daemons' settings files."""
    if given := os.environ.get("CONFIGURATION_DIRECTORY"):
        return Path(given.split(":")[0])  # systemd's
    if os.geteuid() == 0:
        return Path("/etc/workerd")
    if base := os.environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "workerd"
    try:
        return Path.home() / ".config" / "workerd"
    except RuntimeError:  # a number that no account has, and no HOME: so are containers
        return Path("/etc/workerd")


def config_names() -> list[str]:
    """The daemons that have a settings file there, by name."""
    return [file.stem for file in _listed(config_root()) if NAME.fullmatch(file.stem)]


def config_file(name: str) -> Path | None:
    """The settings file of that daemon, if there is one."""
    file = config_root() / f"{check_name(name)}.toml"
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # who reads it is told what is wrong with it
    return file


def shared_files() -> list[Path]:
    """What stands in ``conf.d/``, the strongest first."""
    return _listed(config_root() / "conf.d")[::-1]


def project_files(directory: Path) -> Iterator[Path]:
    """The project's files that may hold settings, the strongest first.

    Others' files are passed over: who runs a command in their directory has not asked for their app.
    """
    for name in (PROJECT, PYPROJECT):
        file = directory / name
        try:
            owner = file.stat().st_uid
        except OSError:
            continue  # there is none, or none that we could see
        if owner in (0, os.geteuid()):
            yield file
        elif name == PROJECT:
            logger.warning("%s is not read: it is another user's; name it with --config", file)


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(file for file in directory.iterdir() if file.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as exc:
        raise PermissionDeniedError(f"cannot read {directory}: {exc.strerror}", "check its mode") from exc
