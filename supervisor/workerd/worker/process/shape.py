"""Give the process what the settings say of it: its directory, its pid file, its user.

In this order, before the name's lock: paths of the settings are seen from the directory, root alone may
write to ``/run``, and all that comes later is that user's.

Errors: ConfigError, PermissionDeniedError, TakenError.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workerd.backends.url import EMBEDDED
from workerd.config import config_file
from workerd.errors import ConfigError, PermissionDeniedError
from workerd.paths import embedded_dir, ensure_dir, log_file, runtime_dir, runtime_root, state_dir, state_root
from workerd.worker.process.owner import Owner, find_owner
from workerd.worker.process.pid_file import PidFile

if TYPE_CHECKING:
    from workerd.config import Config

logger = logging.getLogger(__name__)


def take_shape(config: Config, *, follows: bool = False) -> PidFile | None:
    """The pid file, held, if one is wanted.  ``follows``: the image before this one was in the directory."""
    _go_to(config, follows)
    owner = find_owner(config.user, config.group)
    held = None
    if config.pidfile:
        held = PidFile(Path(config.pidfile).absolute())
        held.acquire()
    try:
        if owner is not None and not owner.current and os.geteuid() == 0:
            if held is not None:
                held.hand_over(owner.uid, owner.gid)
            _prepare(config, owner)
        if owner is not None:
            owner.become()
    except BaseException:
        if held is not None:
            held.release()
        raise
    return held


def warn_of_root() -> None:
    """Say that root runs the tasks, if that is so."""
    if os.geteuid() == 0:
        logger.warning("Tasks run as root here; set `user` to run them as somebody else")


def try_shape(config: Config, *, follows: bool = False) -> None:
    """The same for a start that is only tried: nothing is written."""
    _go_to(config, follows)
    if (owner := find_owner(config.user, config.group)) is not None:
        owner.become()


def _go_to(config: Config, follows: bool) -> None:
    directory = config.chdir
    if not directory or follows:
        return
    try:
        os.chdir(directory)
    except PermissionError as exc:
        raise PermissionDeniedError(
            f"cannot go to {directory}: {exc.strerror}", "check the modes of the directories on the way to it"
        ) from exc
    except OSError as exc:
        raise ConfigError(f"cannot go to {directory}: {exc.strerror}", "set chdir to a directory") from exc


def _prepare(config: Config, owner: Owner) -> None:
    """What root has chosen stays where it is, and is that user's."""
    log = Path(config.log.path).absolute() if config.log.path else log_file(config.name)
    if "WORKERD_CONFIG" not in os.environ and (file := config_file(config.name)) is not None:
        os.environ["WORKERD_CONFIG"] = str(file)
    os.environ["WORKERD_RUNTIME_DIR"] = str(runtime_root())
    os.environ["WORKERD_STATE_DIR"] = str(state_root())
    for root in (runtime_root(), state_root()):
        if not root.exists():
            ensure_dir(root, 0o755)
            root.chmod(0o755)  # whatever the umask: users pass through to what is theirs
    own = [runtime_dir(config.name), state_dir(config.name)]
    if EMBEDDED in config.broker:
        own.append(embedded_dir())
    for directory in own:
        owner.take(ensure_dir(directory))
    if config.log.path:
        with suppress(OSError):  # who opens it says what is wrong
            log.touch(0o640)
    if log.is_file():
        owner.take(log)
