"""``ThreadedWriter``: the supervisor's way to a backend whose calls may block.

One thread makes the calls, so that a disk or a server that hangs holds up nothing but results.  What fails is
kept and tried again, longer and longer apart, and what is behind it is tried meanwhile: a result may be too
large for a disk on which others still find room.  The states of one task are stored in their order; one that
nobody waits for (progress) gives way to a newer one.

Only the thread calls the backend; only the loop counts and confirms.

Units:   seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from workerd.backends.base import UnstorableError
from workerd.backends.keyvalue import KeyValueBackend
from workerd.backends.refused import Result, tell_end
from workerd.backends.url import shown

if TYPE_CHECKING:
    from workerd.backends.writer import Then
    from workerd.transport.loop import Loop

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.25, 4.0
CLEAN_UP = 3600.0
PATIENCE = 2.0
"""What a stop has for the call that is being made."""


class ThreadedWriter:
    """A ``ResultWriter`` over ``backend``."""

    def __init__(self, backend: KeyValueBackend, loop: Loop) -> None:
        self.pending = 0
        self.problem = ""
        self._backend, self._loop = backend, loop
        self._queue = Queue()
        self._thread = threading.Thread(target=self._work, name="results", daemon=True)
        self._thread.start()

    def store(
        self,
        task_id: str,
        state: str,
        meta: bytes,
        then: Then | None,
        reply_to: str | None = None,
    ) -> None:
        if self._queue.put(Result(task_id, state, meta, then)):
            self.pending += 1

    def close(self) -> None:
        self._queue.close()
        self._thread.join(PATIENCE)

    # -- in the loop -----------------------------------------------------------------------------

    def _confirm(self, result: Result) -> None:
        self.pending -= 1
        if self.problem and not self._queue.failed:
            self.problem = ""
            logger.info("Result backend is back; it takes every result again")
        if result.then is not None:
            result.then()

    def _wait(self, reason: str) -> None:
        if not self.problem:
            logger.warning(
                "Result backend lost: %s: %s; %d results wait for it",
                shown(self._backend.url),
                reason,
                self.pending,
            )
        self.problem = reason

    # -- in the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        clean_at = 0.0
        while (result := self._queue.take()) is not None:
            stored = self._try(result)
            if stored and time.monotonic() >= clean_at:
                clean_at = time.monotonic() + CLEAN_UP
                self._clean_up()
        self._backend.close()

    def _try(self, result: Result) -> bool:
        """False when it is kept to be tried again."""
        try:
            self._backend.store(result.task_id, result.state, result.meta)
        except UnstorableError as exc:
            if (instead := self._instead(result, str(exc))) is not None:
                return self._try(instead)
        except Exception as exc:  # noqa: BLE001 (a backend may raise anything, and no result is lost for it)
            said = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            self._queue.put_back(result)
            self._loop.call_soon(self._wait, " ".join(said.split()) or repr(exc))
            return False
        self._queue.taken()
        self._loop.call_soon(self._confirm, result)
        return True

    def _instead(self, result: Result, reason: str) -> Result | None:
        """What stands in for a result that is never taken; None when nothing does."""
        instead = result.stand_in(reason, self._backend.options.coding) if result.final else None
        tell_end(result, reason)
        return instead if instead is not None and len(instead.meta) < len(result.meta) else None

    def _clean_up(self) -> None:
        try:
            self._backend.clean_up()
        except Exception as exc:  # noqa: BLE001 (as above)
            logger.warning("Old results stay in %s: %s", shown(self._backend.url), exc)


class Queue:
    """Results between the loop and the thread, and those that have failed and wait for their time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next: deque[Result] = deque()
        self._progress: dict[str, Result] = {}  # the last of each task, if nobody waits for it
        self._failed: deque[Result] = deque()
        self._tasks: set[str] = set()  # of those
        self._again, self._delay = 0.0, FIRST_DELAY
        self._closed = False

    @property
    def failed(self) -> bool:
        """Some wait to be tried again."""
        return bool(self._failed)

    def put(self, result: Result) -> bool:
        """False when it takes the place of an older one."""
        with self._changed:
            older = self._progress.pop(result.task_id, None)
            if result.then is None:
                if older is not None:
                    older.state, older.meta = result.state, result.meta
                    self._progress[result.task_id] = older
                    return False
                self._progress[result.task_id] = result
            self._next.append(result)
            self._changed.notify()
            return True

    def take(self) -> Result | None:
        """The next to be tried, once there is one; None when it is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._failed and now >= self._again:
                    self._next.extendleft(reversed(self._failed))
                    self._failed.clear()
                    self._tasks.clear()
                while self._next:
                    result = self._next.popleft()
                    if result.task_id in self._tasks:  # after what is before it
                        self._failed.append(result)
                        continue
                    if self._progress.get(result.task_id) is result:
                        del self._progress[result.task_id]
                    return result
                self._changed.wait(self._again - now if self._failed else None)
            return None

    def put_back(self, result: Result) -> None:
        """It has failed."""
        with self._changed:
            if not self._failed:
                self._again = time.monotonic() + self._delay
                self._delay = min(self._delay * 2, LONGEST_DELAY)
            self._failed.append(result)
            self._tasks.add(result.task_id)

    def taken(self) -> None:
        """The backend takes results: what failed before is tried again without much delay."""
        self._delay = FIRST_DELAY

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
