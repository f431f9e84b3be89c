"""The daemon's code anew in the same process: what goes over the exec, and the exec itself.

The locks are held by descriptors that the new image inherits, so the name and the state directory are
never free in between.  Their numbers travel in one variable of the environment.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NamedTuple

from workerd.backends.url import shown
from workerd.worker.log import logs

logger = logging.getLogger(__name__)

VARIABLE = "WORKERD_KEPT_LOCKS"


def follows() -> bool:
    """Another image of this daemon has set this process up, or tries its own command line in it."""
    return VARIABLE in os.environ


class KeptLocks(NamedTuple):
    """Descriptors of the locks that were held before the exec; None at an ordinary start."""

    name: int | None = None
    owner: int | None = None


def keep(name: int, owner: int) -> None:
    """These two descriptors are for the new image."""
    os.environ[VARIABLE] = f"{name},{owner}"


def kept_locks() -> KeptLocks:
    """What the image before this one has kept; asked for once, and not told to children."""
    text = os.environ.pop(VARIABLE, "")
    numbers = [int(part) for part in text.split(",") if part.isdigit()]
    return KeptLocks(*numbers) if len(numbers) == 2 and all(map(_is_open, numbers)) else KeptLocks()


def exec_again() -> None:
    """Replace this process by what it was started as.  Does not return."""
    logger.info("Restarting: %s", " ".join(shown(word) for word in sys.orig_argv))
    logs.settle()
    logging.shutdown()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
