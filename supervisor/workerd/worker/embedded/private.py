"""The data directory: everything that was ever queued is in it, so nobody else may look."""

from __future__ import annotations

import os
from pathlib import Path

from workerd import paths
from workerd.errors import PermissionDeniedError

_PRIVATE = 0o700


def private_dir(path: Path) -> Path:
    """Create ``path``, or close it to others when it is there already.

    Errors: PermissionDeniedError when it belongs to another user; ConfigError when it is no directory.
    """
    paths.ensure_dir(path, mode=_PRIVATE)
    # By descriptor: what is looked at and what is changed are the same directory.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise PermissionDeniedError(
                f"{path} belongs to user {found.st_uid}",
                "run as that user, or set WORKERD_STATE_DIR to a directory of your own",
            )
        if found.st_mode & 0o777 != _PRIVATE:
            os.fchmod(fd, _PRIVATE)
    finally:
        os.close(fd)
    return path
