"""Whether the broker can keep messages until their time, found out and arranged without waiting for it.

The queues for that are looked for with each new link.  Where they are missing they are made, once the first
message needs them or a queue is served for which Celery's clients would use them.  Some hundred declarations
are sent at once, and a single answer tells that all of them are done; an error closes their channel, which
is their own.

Units: seconds.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from amqp import Channel, spec

from workerd.source.amqp.gauge import Gauge
from workerd.source.amqp.topology import (
    DELAY_QUEUES,
    KINDS,
    Frame,
    binding,
    can_wait,
    declarations,
    last_word,
    presence,
)
from workerd.transport.loop import Cancelable, Loop

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Until it is tried again what the broker has refused."""

COUNTED = 5.0
"""Between two counts of what waits."""

NOT_FOUND = 404

Answer = Callable[[int, str], object]
"""The broker's error code and words; 0 when all has been done."""


class DelayChannel(Channel):  # type: ignore[misc]  # py-amqp has no types
    """Jobs of several methods, one after the other; nothing here waits."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._jobs: deque[tuple[list[Frame], Answer]] = deque()
        self._under_way = self._opening = False

    def do(self, frames: Iterable[Frame], then: Answer) -> None:
        """``then`` is called from inside the link's read.  Raises what py-amqp raises."""
        self._jobs.append(([*frames, last_word()], then))
        self._next()

    def _next(self) -> None:
        if self._under_way or not self._jobs:
            return
        self._under_way = True
        if not self._opening:
            self._opening = True
            # The broker works off a channel's methods in their order: no need to wait for its OpenOk.
            self.send_method(spec.Channel.Open, "s", ("",))
        for method, signature, arguments in self._jobs[0][0]:
            self.send_method(method, signature, arguments)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Exchange.DeclareOk] = self._on_declared

    def _on_declared(self) -> None:
        self._answered(0, "")

    def _on_close(self, code: int, text: str, *_method: int) -> None:
        """py-amqp would open it again here, wait for that, and raise."""
        self.send_method(spec.Channel.CloseOk)
        self.is_open = self._opening = False
        self._answered(code, text)

    def _answered(self, code: int, text: str) -> None:
        self._under_way = False
        if self._jobs:
            self._jobs.popleft()[1](code, text)
        self._next()


class Delays:
    """For the queues that are served over one link; ``guarded`` calls something that may lose the link."""

    def __init__(self, loop: Loop, guarded: Callable[[Callable[[], object]], object]) -> None:
        self._loop, self._guarded = loop, guarded
        self._channel: DelayChannel | None = None
        self._gauge: Gauge | None = None
        self._queues: set[str] = set()
        self._bound: set[str] = set()
        self._there = self._wanted = self._asked = self._counting = False
        self._refused_until: Cancelable | None = None
        self._timer: Cancelable | None = None
        self.count = 0
        """What waits in the delay queues, for whatever queue, as was last counted."""

    def start(self, connection: Any) -> None:
        """Use ``connection``, an open one of py-amqp."""
        self._channel, self._gauge = DelayChannel(connection), Gauge(connection)
        self._timer = self._loop.call_repeatedly(COUNTED, self._ask_count)
        self._look_soon()

    def stop(self) -> None:
        """Nothing here fires any more.  May be called twice."""
        self._channel = self._gauge = None
        for timer in (self._timer, self._refused_until):
            if timer is not None:
                timer.cancel()

    def serve(self, queue: str, classic: bool) -> None:
        """``queue`` is consumed, and was declared just now.

        Celery's clients use the delay queues as soon as one of their queues is a quorum queue.
        """
        self._queues.add(queue)
        self._bound.discard(queue)
        self._wanted |= not classic
        self._look_soon()

    def ready(self, queue: str) -> bool:
        """True when a message for ``queue`` can wait in the broker; False also while that is arranged."""
        if not can_wait(queue):
            return False
        if self._there and queue in self._bound:
            return True
        self._wanted = True
        self._queues.add(queue)
        self._look_soon()
        return False

    def doubt(self) -> None:
        """A message did not arrive there."""
        self._there = False
        self._bound.clear()

    def recount(self) -> None:
        """Something was sent there."""
        if not self._counting:
            self._counting = True
            self._loop.call_later(1.0, self._ask_count)

    # -- arranging -----------------------------------------------------------------------------

    def _look_soon(self) -> None:
        if not self._asked and self._channel is not None and self._refused_until is None:
            self._asked = True
            self._loop.call_soon(self._guarded, self._look)

    def _look(self) -> None:
        if self._channel is None:
            self._asked = False
        elif not self._there:
            self._channel.do(presence(), self._looked)
        else:
            self._bind()

    def _looked(self, code: int, text: str) -> None:
        if self._channel is None:
            return
        if not code:
            self._found()
        elif code == NOT_FOUND and not self._wanted:
            self._asked = False
        elif code == NOT_FOUND:
            self._build(*KINDS)
        else:
            self._refused(text)

    def _build(self, kind: str, *others: str) -> None:
        assert self._channel is not None
        self._channel.do(declarations(kind), partial(self._built, kind, others))

    def _built(self, kind: str, others: tuple[str, ...], code: int, text: str) -> None:
        if self._channel is None:
            return
        if not code:
            logger.info("Made the delay queues celery_delayed_*, of type %s", kind)
            self._found()
        elif others:
            self._build(*others)
        else:
            self._refused(text)

    def _found(self) -> None:
        self._there = True
        self._ask_count()
        self._bind()

    def _bind(self) -> None:
        assert self._channel is not None
        missing = next((queue for queue in self._queues - self._bound if can_wait(queue)), None)
        if missing is not None:
            self._channel.do([binding(missing)], partial(self._tied, missing))
        else:
            self._asked = False

    def _tied(self, queue: str, code: int, text: str) -> None:
        if self._channel is None:
            return
        if not code:
            self._bound.add(queue)
            self._bind()
            return
        # A queue that is gone comes again when it is declared again, or when a message of it asks.
        self._queues.discard(queue)
        self.doubt()
        if code == NOT_FOUND:
            self._look()
        else:
            self._refused(text)

    def _refused(self, text: str) -> None:
        self._asked = False
        logger.warning("Tasks with a late ETA stay in this daemon: the broker has no delay queues: %s", text)
        self._refused_until = self._loop.call_later(PATIENCE, self._try_again)

    def _try_again(self) -> None:
        self._refused_until = None
        self._look_soon()

    # -- counting ------------------------------------------------------------------------------

    def _ask_count(self) -> None:
        self._counting = False
        if self._there and self._gauge is not None:
            self._guarded(partial(self._gauge.ask, DELAY_QUEUES, self._counted))

    def _counted(self, counts: dict[str, int]) -> None:
        self.count = sum(counts.values())
        if len(counts) < len(DELAY_QUEUES):
            self.doubt()
