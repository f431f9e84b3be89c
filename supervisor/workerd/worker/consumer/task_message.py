"""A task's message as kombu's ``Message``, for a step that wants to see it before it is run.

It is answered once: by the step (``ack``, ``reject``, ``requeue``) or by being passed on, which leaves the
answer to the daemon.  Over the link that brought it alone: what was not answered until that ends comes again.

Errors: MessageStateError for a second answer, and for one that comes after the end of the link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kombu.message import Message

from workerd.protocol.incoming import open_payload

if TYPE_CHECKING:
    from workerd.source.base import Delivery

ACK, REJECT, REQUEUE, PASSED = "ACK", "REJECTED", "REQUEUED", "PASSED"

Answer = Callable[["TaskMessage", str], None]


class TaskMessage(Message):
    """``answer(message, state)`` is called with the one answer."""

    _state: str

    def __init__(self, delivery: Delivery, answer: Answer) -> None:
        assert delivery.message is not None
        opened = open_payload(delivery.message.payload)
        self.delivery, self._answer = delivery, answer
        super().__init__(  # type: ignore[no-untyped-call]
            body=opened.body,
            delivery_tag=delivery.tag,
            content_type=opened.content_type,
            content_encoding=opened.content_encoding,
            headers=opened.headers,
            properties=opened.properties,
            delivery_info={
                "exchange": opened.exchange,
                "routing_key": opened.routing_key,
                "redelivered": delivery.redelivered,
                "queue": delivery.queue,
            },
        )

    @property
    def task(self) -> str:
        """The name of the task."""
        assert self.delivery.message is not None
        return self.delivery.message.task

    @property
    def acknowledged(self) -> bool:
        """It has had its answer, whatever that was."""
        return self._state in (ACK, REJECT, REQUEUE, PASSED)

    def ack(self, multiple: bool = False) -> None:
        """It is done, and gone; ``multiple`` counts for nothing."""
        self.answer(ACK)

    def reject(self, requeue: bool = False) -> None:
        """Put it aside in the queue's dead letters, or with ``requeue`` give it back."""
        self.answer(REQUEUE if requeue else REJECT)

    def requeue(self) -> None:
        """Give it back to its queue."""
        self.answer(REQUEUE)

    def answer(self, state: str) -> None:
        """Its one answer."""
        if self.acknowledged:
            raise self.MessageStateError(f"Message already answered: {self._state}")
        self._answer(self, state)
        self._state = state


def have_run(message: TaskMessage, *_as_strategy: Any, **_options: Any) -> None:
    """Have the message's task run; the daemon answers it.  The strategy of every task by default."""
    message.answer(PASSED)
