"""``c.task_consumer``: the surface of kombu's ``Consumer`` over the source of tasks, for one link.

Messages go past it to the dispatcher in batches, as they were fetched.  Only where a step has put itself in
between (``on_message``, a strategy) are they made messages of kombu's, and handed out one by one.

Errors: what a step's handler raises is logged, and its message passed on unless it was answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workerd.worker.consumer.task_message import ACK, PASSED, REQUEUE, TaskMessage, have_run
from workerd.worker.loop.naming import callback_name

if TYPE_CHECKING:
    from workerd.delivery import Lane
    from workerd.source.base import Delivery, TaskSource
    from workerd.worker.consumer.surface import TaskSurface

logger = logging.getLogger(__name__)

Handler = Callable[[TaskMessage], Any]


class TaskConsumer:
    """``c.task_consumer``: the surface of kombu's ``Consumer``, for ``source``, the link of ``c``."""

    def __init__(self, c: TaskSurface, source: TaskSource) -> None:
        self._c, self._source, self._desk = c, source, c.controller.dispatcher
        self._handler: Handler | None = None
        self._added: list[Any] = []  # queues that ``consume`` shall begin with
        self._cancelled: set[str] = set()  # queues that are wanted, and not consumed over this link
        self._handed: dict[int, TaskMessage] = {}  # to steps, and not answered yet

    # -- queues ----------------------------------------------------------------------------------

    @property
    def queues(self) -> list[Any]:
        """kombu's ``Queue`` objects, of what is consumed and of what was added."""
        return [*map(self._c.task_queues.queue, self._c.queues), *self._added]

    def consuming_from(self, queue: Any) -> bool:
        """Whether messages of ``queue`` (its name or object) are fetched."""
        name = _name(queue)
        return name in self._c.queues and name not in self._cancelled

    def add_queue(self, queue: Any) -> Any:
        """Another queue (its name or object), for the next ``consume``."""
        self._added.append(queue if hasattr(queue, "name") else self._c.app.queue(queue))
        return self._added[-1]

    def consume(self, no_ack: bool | None = None) -> None:
        """Fetch from all queues, also from those that were added or cancelled; the added ones stay over every
        link.  ``no_ack`` counts for nothing: tasks are acknowledged as they say."""
        added, self._added = self._added, []
        for queue in added:
            self._c.add_task_queue(queue)
        cancelled, self._cancelled = self._cancelled, set()
        for name in [name for name in self._c.queues if name in cancelled]:
            self._source.add_queue(self._desk.lane_of_queue(name).name, name)

    def cancel(self) -> None:
        """Fetch nothing more over this link, until ``consume``; what is here is run."""
        for name in [name for name in self._c.queues if name not in self._cancelled]:
            self._cancelled.add(name)
            self._source.cancel_queue(name)

    close = cancel

    def cancel_by_queue(self, queue: Any) -> None:
        """Consume ``queue`` (its name or object) no more, over this link and those that follow."""
        self._cancelled.discard(_name(queue))
        self._c.cancel_task_queue(_name(queue))

    def qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """Hold ``prefetch_count`` messages at most, as ``c.qos.set`` does; sizes count for nothing."""
        self._c.qos.set(prefetch_count)

    # -- messages --------------------------------------------------------------------------------

    @property
    def on_message(self) -> Handler:
        """Who is given each message that comes: by default ``receive``.

        A handler that is set here answers a message, or passes it on to the one that was here before it.
        """
        return self._handler or self.receive

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._handler = None if handler == self.receive else handler

    def receive(self, message: TaskMessage) -> None:
        """Give the message to the strategy of its task; most have the task run."""
        strategy = self._c.strategies.replaced.get(message.task)
        if strategy is None:
            have_run(message)
        else:
            strategy(message, None, _ack_of(message), _reject_of(message), self._c.on_task_message)

    def take(self, deliveries: list[Delivery]) -> None:
        """What the source has fetched."""
        handler, replaced = self._handler, self._c.strategies.replaced
        if handler is None and not replaced:
            self._desk.on_deliveries(deliveries)
            return
        passed = []
        for delivery in deliveries:
            if delivery.message is not None and (handler or delivery.message.task in replaced):
                self._hand_out(handler or self.receive, delivery)
            else:
                passed.append(delivery)
        self._desk.on_deliveries(passed)  # an empty batch counts too

    def return_all(self) -> None:
        """What steps were given and have not answered goes back to its queue."""
        for message in list(self._handed.values()):
            message.requeue()

    def leave(self) -> None:
        """The link ends, and with it what was handed out over it."""
        for message in self._handed.values():
            self._lane_of(message).handed_out -= 1
        self._handed.clear()

    def _hand_out(self, handler: Handler, delivery: Delivery) -> None:
        message = TaskMessage(delivery, self._answered)
        self._handed[id(message)] = message
        self._lane_of(message).handed_out += 1
        try:
            handler(message)
        except Exception as exc:
            logger.error("Error in %s: %r", callback_name(handler), exc, exc_info=True)
            if not message.acknowledged:
                have_run(message)

    def _answered(self, message: TaskMessage, state: str) -> None:
        if self._c.task_consumer is not self:
            raise message.MessageStateError("the link that brought this message is gone: it comes again")
        delivery = message.delivery
        del self._handed[id(message)]
        self._lane_of(message).handed_out -= 1
        if state == PASSED:
            self._desk.on_deliveries([delivery])
        elif state == ACK:
            self._source.settle([delivery], self._desk.check_idle)
        elif state == REQUEUE:
            self._source.give_back([delivery], self._desk.check_idle)
        else:
            letter = self._desk.dead_room.admit(delivery, "rejected by a step").letter
            assert letter is not None
            self._source.put_aside(delivery, letter, self._desk.check_idle)

    def _lane_of(self, message: TaskMessage) -> Lane:
        return self._desk.lane_of_queue(message.delivery.queue)


def _name(queue: Any) -> str:
    return str(getattr(queue, "name", queue))


def _ack_of(message: TaskMessage) -> Callable[..., None]:
    return lambda *_words: message.ack()


def _reject_of(message: TaskMessage) -> Callable[..., None]:
    def reject(*_words: Any, requeue: bool = False) -> None:
        message.reject(requeue=requeue)

    return reject
