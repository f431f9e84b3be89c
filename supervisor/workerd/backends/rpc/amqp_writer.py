"""Replies over RabbitMQ: a confirmed message to the caller's queue.

A queue that is gone takes its results with it: its caller waits no more.  A result that the broker finds too
large ends as a failure that says so.

Units:   seconds.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.basic_message import Message

from workerd.backends.base import BackendOptions
from workerd.backends.refused import LARGE, Result, tell_end
from workerd.protocol.serial import content_type_of
from workerd.source.amqp.outgoing import Route
from workerd.source.amqp.publisher import Publisher
from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from workerd.backends.writer import Then

AGAIN = 1.0
"""Until what was not confirmed is published again; the publisher has patience of its own beside that."""

TOO_LARGE = "larger than"
"""RabbitMQ's words for a message that it will never take."""


class AmqpReplyWriter:
    """A ``ResultWriter`` over ``publisher``; the states of one task leave one after the other."""

    def __init__(self, publisher: Publisher, loop: Loop, options: BackendOptions) -> None:
        self._publisher, self._loop, self._options = publisher, loop, options
        self._form = content_type_of(options.coding.serializer)
        self._chains: dict[str, deque[Result]] = {}  # by task; the first of each is on its way
        self._refused: list[Result] = []
        self._reason = ""  # of the last one of them
        self._again: Cancelable | None = None
        self._closed = False
        self.pending = 0

    @property
    def problem(self) -> str:
        return self._publisher.problem if self.pending else ""

    def store(
        self, task_id: str, state: str, meta: bytes, then: Then | None, reply_to: str | None = None
    ) -> None:
        if not reply_to:
            if then is not None:
                then()
            return
        chain = self._chains.setdefault(task_id, deque())
        if len(chain) > 1 and chain[-1].then is None:
            chain.pop()  # not the first one, which is on its way
            self.pending -= 1
        self.pending += 1
        chain.append(Result(task_id, state, meta, then, reply_to))
        if len(chain) == 1:
            self._publish(chain[0])

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        self._publisher.flush()
        # The last word of the broker is not waited for: it has confirmed what it has.
        self._publisher.close(lost=True)

    def _publish(self, result: Result) -> None:
        content_type, encoding = self._form
        message = Message(
            result.meta,
            application_headers={},
            content_type=content_type,
            content_encoding=encoding,
            correlation_id=result.task_id,
            delivery_mode=self._options.delivery_mode,
            priority=0,
        )
        route = Route("", result.reply_to or "", partial(self._not_taken, result), mandatory=False)
        self._publisher.publish("", _nothing, message, partial(self._confirm, result), route)

    def _confirm(self, result: Result) -> None:
        self.pending -= 1
        chain = self._chains[result.task_id]
        chain.popleft()
        if chain:
            self._publish(chain[0])
        else:
            del self._chains[result.task_id]
        if result.then is not None:
            result.then()

    def _not_taken(self, result: Result) -> None:
        """The link is lost, or the broker refuses it."""
        self._reason = self._publisher.problem
        self._refused.append(result)
        if self._again is None and not self._closed:
            self._again = self._loop.call_later(AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        refused, self._refused = self._refused, []
        largest = max(refused, key=lambda result: len(result.meta))
        if TOO_LARGE in self._reason and len(largest.meta) >= LARGE:
            # It has closed the channel, and with it what was on its way beside it.
            refused.remove(largest)
            self._give_up(largest, self._reason)
        for result in refused:
            self._publish(result)

    def _give_up(self, result: Result, reason: str) -> None:
        tell_end(result, reason)
        if not result.final:
            self._confirm(result)
            return
        instead = result.stand_in(reason, self._options.coding)
        self._chains[result.task_id][0] = instead
        self._publish(instead)


def _nothing(_connection: Any, _queue: str) -> None:
    """The caller has declared its queue."""
