"""The channel of task queues: what it writes is kept for one write, and what it asks is not waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from amqp import Channel, spec
from amqp.exceptions import RecoverableConnectionError

from workerd.source.amqp import frames

OnMessage = Callable[[str, Any], object]
"""(queue, message); from ``get`` None where the queue had none."""


class TaskChannel(Channel):  # type: ignore[misc]  # py-amqp has no types
    """The channel of one group of queues.

    ``on_got`` hears of what ``get`` has asked for, ``on_ended`` of a consumer's end that we have asked for.

    Errors: py-amqp's, from everything that writes.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.auto_decode = False
        self.on_got: OnMessage | None = None
        self.on_ended: Callable[[], object] | None = None
        self._asked: deque[str] = deque()  # answered in their order
        self._unwritten: list[bytes] = []

    @property
    def asked(self) -> int:
        """Questions without an answer yet."""
        return len(self._asked)

    @property
    def quiet(self) -> bool:
        """Nothing can come any more."""
        return not self.callbacks and not self._asked

    def begin(self) -> None:
        """Open it without waiting for the broker, which works off a channel's methods in their order."""
        self.send_method(spec.Channel.Open, "s", ("",))

    def get(self, queue: str) -> None:
        """Ask ``queue`` for one message."""
        self._asked.append(queue)
        self.send_method(spec.Basic.Get, "Bsb", (0, queue, False))

    def limit(self, messages: int, *, shared: bool) -> None:
        """How many may be unsettled: on the whole channel, or of each consumer that begins later."""
        self._unwritten.append(frames.limit(self.channel_id, messages, shared=shared))

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a message, or all up to it, with the next ``flush``."""
        self._unwritten.append(frames.ack(self.channel_id, tag, multiple=multiple))

    def nack(self, tag: int) -> None:
        """Return a message to its queue with the next ``flush``."""
        self._unwritten.append(frames.nack(self.channel_id, tag))

    def flush(self) -> None:
        """Write what has been kept, all at once."""
        if not self._unwritten:
            return
        unwritten, self._unwritten = self._unwritten, []
        if self.connection is None:
            raise RecoverableConnectionError("the connection is closed")
        self.connection.transport.write(b"".join(unwritten))
        self.connection.bytes_sent += len(unwritten)

    def send_method(self, *args: Any, **options: Any) -> Any:
        """In its place after what has been kept."""
        self.flush()
        return super().send_method(*args, **options)

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """What was on its way to a channel that is being closed is the broker's again, and no news."""
        if not self.is_closing or method_sig in self._ALLOWED_METHODS_WHEN_CLOSING:
            super().dispatch_method(method_sig, payload, content)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Basic.GetOk] = self._on_get_answered
        self._callbacks[spec.Basic.GetEmpty] = self._on_nothing

    def _on_basic_cancel_ok(self, consumer_tag: str) -> None:
        super()._on_basic_cancel_ok(consumer_tag)
        if self.on_ended is not None:
            self.on_ended()

    def _on_get_answered(self, *answer: Any) -> None:
        self._tell(self._on_get_ok(*answer))

    def _on_nothing(self, _cluster: str = "") -> None:
        self._tell(None)

    def _tell(self, message: Any) -> None:
        queue = self._asked.popleft()
        if self.on_got is not None:
            self.on_got(queue, message)
