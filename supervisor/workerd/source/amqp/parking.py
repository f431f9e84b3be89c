"""Parking on RabbitMQ: the copy of a message waits in the delay queues, and the original is acknowledged.

The copy is confirmed first, so whoever dies in between, the message is there; then it is there twice.  What
the broker does not confirm (its delay queues are gone, the link to it is lost) stays with the consumer.

Units: seconds; ``eta`` is Unix time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from workerd.protocol.dead import REQUEUED
from workerd.protocol.rewriting import DEATHS
from workerd.source.amqp.marking import marked_message
from workerd.source.amqp.outgoing import Route
from workerd.source.amqp.queues import declare_task_queue
from workerd.source.amqp.topology import way, without_traces
from workerd.source.amqp.wrapping import fits

if TYPE_CHECKING:
    from amqp.basic_message import Message

    from workerd.clock import Clock
    from workerd.source.amqp.copies import Copies
    from workerd.source.amqp.delays import Delays
    from workerd.source.amqp.held import Held
    from workerd.source.base import Delivery


class Parking:
    """Sends messages to the delay queues."""

    def __init__(self, delays: Delays, copies: Copies, clock: Clock) -> None:
        self._delays, self._copies, self._clock = delays, copies, clock

    def park(self, held: Held, number: int, delivery: Delivery, refused: Callable[[], object]) -> None:
        """Let what ``held`` has under ``number`` wait until it is due; ``refused`` when it does not."""
        assert delivery.due is not None
        exchange, key = way(delivery.due - self._clock.wall(), delivery.queue)
        route = Route(exchange, key, partial(self._refused, held, number, refused))
        message = parked_message(held.messages[number], delivery)
        self._copies.send(held, number, delivery.queue, declare_task_queue, message, route)
        self._delays.recount()

    def _refused(self, held: Held, number: int, refused: Callable[[], object]) -> None:
        self._delays.doubt()
        if self._copies.forget(held, number):
            refused()


def parked_message(message: Message, delivery: Delivery) -> Message:
    """The copy that waits: never taken for the original, nor for another copy of it."""
    marks = {REQUEUED: str(uuid4())} | ({DEATHS: delivery.deaths} if delivery.counted else {})
    copy = marked_message(message, marks)
    copy.properties["application_headers"] = without_traces(copy.properties["application_headers"])
    if not fits(copy):
        copy.properties["application_headers"] = without_traces(message.headers or {})
    return copy
