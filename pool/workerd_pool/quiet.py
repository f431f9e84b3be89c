"""Signal handlers of templates and children: only the supervisor stops them.

TERM, INT, HUP and QUIT get a handler that does nothing.  Never SIG_IGN: that is inherited through exec
and would make ``terminate()`` a no-op in the programs that a task starts; handlers are not.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from workerd_pool.linux import DUMP, QUIET, WAKE

Handler = Callable[[int, FrameType | None], None]

# Those of ``signal`` try to make an enum of every handler: 2 us each, four times a job, and in a new child
# a hundred kB of pages that it shares no more.
_signal: Any = importlib.import_module("_signal")
_getsignal: Callable[[int], object] = _signal.getsignal


def do_nothing(signum: int, frame: FrameType | None) -> None:
    """The handler of what reaches whole groups."""


def stand(wake: Handler = do_nothing) -> None:
    """Set all handlers, then let signals in; they were blocked since before the exec."""
    restore(wake)
    listen_for_dump()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def listen_for_dump() -> None:
    """Write stacks at a crash and on request: to descriptor 2, which ends in the supervisor's log."""
    faulthandler.enable(file=2)
    faulthandler.register(DUMP, file=2, all_threads=True, chain=False)


def restore(wake: Handler = do_nothing) -> bool:
    """Undo what task code did to these handlers; True if there was anything to undo."""
    changed = False
    for number in QUIET:
        if _getsignal(number) is not do_nothing:
            _signal.signal(number, do_nothing)
            changed = True
    # Bound methods are equal, not identical.
    if _getsignal(WAKE) != wake:
        _signal.signal(WAKE, wake)
        changed = True
    return changed


def reset_in_forks(also: Callable[[], None]) -> None:
    """In processes that a task forks these signals do what they do in any Python program."""
    masks = threading.local()

    def block() -> None:
        # A signal between the fork and the reset would meet our handler and be lost.
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, (*QUIET, WAKE))

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def reset() -> None:
        for number in QUIET:
            if signal.getsignal(number) is do_nothing:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
        signal.signal(WAKE, signal.SIG_DFL)
        also()
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)
