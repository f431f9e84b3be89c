"""Stalls: says which callback holds up the event loop, and where in it.

While the loop works through a turn an alarm of the kernel's (ALRM) is set; while it sleeps there is none, so
that an idle daemon is not woken.  The handler only notes the stack, which is logged when the callback is
over.  One that is not over by ``HOPELESS`` may never be: then the stack goes to stderr from the handler
itself, by a writer that needs no lock (``faulthandler``).

What waits for a broker inside ``inbox.interruptible()`` may do so, and is not told.

Units: seconds.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import time
import traceback
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from workerd.worker.loop.naming import callback_name, unwrapped

if TYPE_CHECKING:
    from workerd.worker.loop.hub import Hub
    from workerd.worker.loop.inbox import Inbox

logger = logging.getLogger(__name__)

LIMIT = 1.0
HOPELESS = 10.0


class Stalls:
    """``busy`` and ``idle`` are called by the hub around its sleep."""

    def __init__(
        self, hub: Hub, inbox: Inbox, stderr: int = 2, limit: float = LIMIT, hopeless: float = HOPELESS
    ) -> None:
        self._hub, self._inbox, self._stderr = hub, inbox, stderr
        self._limit, self._again = limit, hopeless - limit
        self._began = 0.0
        self._seen: tuple[Callable[..., Any] | None, list[tuple[CodeType, int]]] | None = None
        self._before = signal.signal(signal.SIGALRM, self._over)

    def close(self) -> None:
        """Give ALRM back."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL if self._before is None else self._before)

    def busy(self) -> None:
        """A turn of the loop begins."""
        self._began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, self._limit, self._again)

    def idle(self) -> None:
        """It is over; say so if it took too long."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        if self._seen is not None:
            (callback, stack), self._seen = self._seen, None
            logger.warning(
                "%s held up the loop for %.1f s; after %g s it was here:\n%s",
                callback_name(callback),
                time.monotonic() - self._began,
                self._limit,
                _shown(stack, callback),
            )

    def _over(self, signum: int, frame: FrameType | None) -> None:
        if self._inbox.waits:
            return
        if self._seen is None:
            self._seen = self._hub.calling, _stack(frame)
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            faulthandler.dump_traceback(self._stderr, all_threads=False)


def _stack(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    """Code and line of each frame, the innermost first; formatting them would read files."""
    stack = []
    while frame is not None:
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return stack


def _shown(stack: list[tuple[CodeType, int]], callback: Callable[..., Any] | None) -> str:
    """As Python shows a stack, from the callback on, without what the loop has wrapped around it."""
    own = getattr(unwrapped(callback), "__code__", None)
    depths = [depth for depth, (code, _) in enumerate(stack, start=1) if code is own]
    shown = stack[: depths[-1]] if depths else stack
    entries = [(code.co_filename, line, code.co_name, None) for code, line in reversed(shown)]
    return "".join(traceback.StackSummary.from_list(entries).format()).rstrip()
