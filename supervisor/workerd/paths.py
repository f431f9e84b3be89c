"""Where a daemon keeps its things: runtime (socket, lock) and state (data that must survive).

Roots, first that is set: ``WORKERD_RUNTIME_DIR`` / ``WORKERD_STATE_DIR``; systemd's
``RUNTIME_DIRECTORY`` / ``STATE_DIRECTORY``; for root ``/run/workerd`` and ``/var/lib/workerd``;
for a user the XDG places.  A detached daemon's log: systemd's ``LOGS_DIRECTORY``, ``/var/log/workerd`` for
root, else the state directory.  A daemon's own directories are ``<root>/<name>``; the embedded broker
has one directory per state root, whatever the daemons' names.

Errors: ConfigError for names and socket paths that cannot work, PermissionDeniedError for directories.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from workerd.errors import ConfigError, PermissionDeniedError

DEFAULT_NAME = "main"
"""The daemon that is meant where none is named."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_ELSEWHERE = "set WORKERD_STATE_DIR and WORKERD_RUNTIME_DIR to directories of your own"

# struct sockaddr_un holds 108 bytes and the last one is the terminating zero.
MAX_SOCKET_PATH = 107


def check_name(name: str) -> str:
    """Return ``name`` if it can be a directory, a systemd instance and a part of a node name."""
    if NAME.fullmatch(name) is None:
        raise ConfigError(
            f"name {name!r} cannot be used", "use 1-64 letters, digits, '.', '_' or '-', not first a sign"
        )
    return name


def runtime_root() -> Path:
    """The directory above the daemons' runtime directories."""
    return _root("WORKERD_RUNTIME_DIR", "RUNTIME_DIRECTORY") or _default_runtime_root()


def state_root() -> Path:
    """The directory above the daemons' state directories."""
    return _root("WORKERD_STATE_DIR", "STATE_DIRECTORY") or _default_state_root()


def runtime_dir(name: str) -> Path:
    """``<runtime root>/<name>``: the control socket and the lock of one daemon."""
    return runtime_root() / check_name(name)


def state_dir(name: str) -> Path:
    """``<state root>/<name>``: what one daemon must remember over a restart."""
    return state_root() / check_name(name)


def control_socket(name: str) -> Path:
    """The unix socket on which the daemon ``name`` answers its operator."""
    return checked_socket(runtime_dir(name) / "control.sock", "WORKERD_RUNTIME_DIR")


def log_file(name: str) -> Path:
    """Where a daemon logs that has no terminal and no service manager to write to."""
    check_name(name)
    if value := os.environ.get("LOGS_DIRECTORY"):
        return Path(value.split(":")[0]) / f"{name}.log"
    if os.geteuid() == 0 and not os.environ.get("WORKERD_STATE_DIR"):
        return Path("/var/log/workerd") / f"{name}.log"
    return state_dir(name) / "log"


def embedded_dir() -> Path:
    """The data directory of the embedded broker; no daemon's name can begin with ``_``."""
    return state_root() / "_broker"


def embedded_socket() -> Path:
    """The unix socket of the embedded broker."""
    path = checked_socket(embedded_dir() / "valkey.sock", "WORKERD_STATE_DIR")
    if odd := sorted(set(str(path)) & set("%;?#")):
        raise ConfigError(
            f"state directory {path.parent} has {' '.join(odd)} in it, which a broker URL cannot carry",
            "set WORKERD_STATE_DIR to a plainer directory",
        )
    return path


def embedded_url() -> str:
    """The broker URL of the embedded broker, as kombu spells a Redis unix socket."""
    return f"redis+socket://{embedded_socket()}"


def checked_socket(path: Path, variable: str) -> Path:
    """Return ``path`` if the kernel can bind a socket there."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise ConfigError(
            f"socket path {path} has {length} bytes and the kernel allows {MAX_SOCKET_PATH}",
            f"set {variable} to a shorter directory",
        )
    return path


def ensure_dir(path: Path, mode: int = 0o750) -> Path:
    """Create ``path`` and check that this user can write there."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except PermissionError as exc:
        raise PermissionDeniedError(f"cannot create {path}: {exc.strerror}", _writable_hint(path)) from exc
    except OSError as exc:
        raise ConfigError(f"cannot create {path}: {exc.strerror}", _ELSEWHERE) from exc
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionDeniedError(f"cannot write to {path}", _writable_hint(path))
    return path


def own_dir(path: Path) -> Path:
    """``ensure_dir`` for a directory of the daemon's own, to which no stranger may write.

    Who may could put a socket or a state of his in the place of the daemon's.
    """
    ensure_dir(path)
    if (trouble := strangers(path)) is not None:
        raise trouble
    return path


def strangers(path: Path) -> PermissionDeniedError | None:
    """What is wrong with a directory that others than this user, root and its group may write to."""
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0):
        return PermissionDeniedError(
            f"{path} belongs to user {found.st_uid}", f"run as that user, give it to yours, or {_ELSEWHERE}"
        )
    if found.st_mode & stat.S_IWOTH:
        return PermissionDeniedError(f"everybody may write to {path}", f"type: chmod o-w {path}")
    return None


def _writable_hint(path: Path) -> str:
    return f"run as the user that owns {path.parent}, or {_ELSEWHERE}"


def _root(ours: str, systemds: str) -> Path | None:
    if value := os.environ.get(ours):
        return Path(value).absolute()
    if value := os.environ.get(systemds):
        # systemd gives a list with ':'; the first entry is the unit's main directory.
        return Path(value.split(":")[0])
    return None


def _default_runtime_root() -> Path:
    if os.geteuid() == 0:
        return Path("/run/workerd")
    if value := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(value) / "workerd"
    return _default_state_root() / "_run"


def _default_state_root() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/workerd")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else _home() / ".local" / "state") / "workerd"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as exc:  # a number that no account has, and no HOME: so are containers
        raise ConfigError(f"uid {os.geteuid()} has no home directory", _ELSEWHERE) from exc
