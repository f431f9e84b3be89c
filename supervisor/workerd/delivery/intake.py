"""Intake: from a delivery to a request, or to the reason why there is none.

What cannot be read is put aside, never dropped; what belongs to a run that goes on or has ended here is
joined with it, never run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from workerd.delivery.outcome import DONE
from workerd.delivery.request import Request, TaskOptions, Verdict

if TYPE_CHECKING:
    from workerd.delivery.dispatcher import Dispatcher
    from workerd.protocol.message import Message
    from workerd.source.base import Delivery


USUAL = TaskOptions()

SLICE = 64
"""Messages that are taken in at a time: children would wait for the last of a large batch."""


class Callbacks(Protocol):
    """Whoever wants to see each request; nobody as long as it is empty."""

    def __len__(self) -> int: ...

    def tell(self, request: Request, /) -> None:
        """This one is taken in."""


class Intake:
    """Takes deliveries for one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.callbacks: Callbacks | None = None
        """Of steps, called with each request."""

    def take_all(self, deliveries: Sequence[Delivery]) -> None:
        """Take them all; of a large batch the first begin before the last are taken in."""
        for first in range(0, len(deliveries), SLICE):
            if first:
                self.dispatcher.start()
            for delivery in deliveries[first : first + SLICE]:
                self.take(delivery)

    def take(self, delivery: Delivery) -> None:
        """Reserve it, join it, or put it aside."""
        desk = self.dispatcher
        message = delivery.message
        if message is None:
            self._put_aside(delivery)
        elif not self._join(delivery, message):
            request = self._request(delivery, message)
            desk.totals.received += 1
            if desk.narrator.tells_received:
                desk.narrator.received(request)
            if desk.events is not None:
                desk.events.received(request)
            if self.callbacks:
                self.callbacks.tell(request)
            if request.deaths and desk.deaths.of(delivery).supervisors:
                desk.narrator.survived(request, desk.deaths.most)
            if request.deaths >= desk.deaths.most:
                desk.runs.condemn(request)
            elif desk.revokes and desk.revokes.hold(message):
                desk.orders.revoke(request)
            else:
                desk.reserve(request)

    def _put_aside(self, delivery: Delivery) -> None:
        desk = self.dispatcher
        if desk.settler.source is None:
            return  # the broker still has it, and delivers it again
        desk.narrator.malformed(delivery)
        if desk.events is not None:
            desk.events.unreadable(delivery)
        letter = desk.dead_room.admit(delivery, delivery.problem).letter
        if letter is not None:
            desk.settler.source.put_aside(delivery, letter, desk.check_idle)

    def _join(self, delivery: Delivery, message: Message) -> bool:
        """True when this delivery belongs to a run that goes on or has ended here."""
        desk = self.dispatcher
        known = self._known(delivery, message)
        if known is None:
            return False
        desk.totals.repeated += 1
        if isinstance(known, Verdict):
            desk.narrator.repeated(delivery)
            desk.settler.decide(self._request(delivery, message), known)
            return True
        desk.narrator.joined(known)
        if known.acknowledged:
            # The broker was told once that this is done, and has forgotten it.
            desk.settler.decide(self._request(delivery, message), DONE)
            return True
        desk.table.relink(known, delivery)
        if known.verdict is not None:
            desk.settler.decide(known, known.verdict)
        return True

    def _known(self, delivery: Delivery, message: Message) -> Request | Verdict | None:
        desk = self.dispatcher
        if desk.settler.takes_back:
            return desk.table.redeliveries.claim(delivery, message, desk.clock.now())
        return desk.table.publishes.find(message.publisher_tag, delivery.queue, desk.clock.now())

    def _request(self, delivery: Delivery, message: Message) -> Request:
        desk = self.dispatcher
        lane, tally = desk.lane_of_queue(delivery.queue), desk.deaths.of(delivery)
        request = Request(
            number=desk.table.next_number(),
            delivery=delivery,
            message=message,
            options=lane.tasks.get(message.task, USUAL),
            received=desk.clock.wall(),
            pool=lane.name,
            deaths=tally.deaths,
            suspect=tally.deaths > 0 and desk.deaths.suspected(tally),
        )
        desk.table.add(request)
        return request
