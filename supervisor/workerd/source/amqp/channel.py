"""A channel that asks queues for single messages without waiting for the answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from amqp import Channel, spec

OnMessage = Callable[[str, Any], object]
"""(queue, message); from ``get`` None where the queue had none."""


class TaskChannel(Channel):  # type: ignore[misc]  # py-amqp has no types
    """The channel of one group of queues; ``on_got`` hears of what ``get`` has asked for."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.auto_decode = False
        self.on_got: OnMessage | None = None
        self._asked: deque[str] = deque()  # answered in their order

    @property
    def asked(self) -> int:
        """Questions without an answer yet."""
        return len(self._asked)

    def get(self, queue: str) -> None:
        """Ask ``queue`` for one message.  Raises what py-amqp raises."""
        self._asked.append(queue)
        self.send_method(spec.Basic.Get, "Bsb", (0, queue, False))

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """What was on its way to a channel that is being closed is the broker's again, and no news."""
        if not self.is_closing or method_sig in self._ALLOWED_METHODS_WHEN_CLOSING:
            super().dispatch_method(method_sig, payload, content)

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Basic.GetOk] = self._on_get_answered
        self._callbacks[spec.Basic.GetEmpty] = self._on_nothing

    def _on_get_answered(self, *answer: Any) -> None:
        self._tell(self._on_get_ok(*answer))

    def _on_nothing(self, _cluster: str = "") -> None:
        self._tell(None)

    def _tell(self, message: Any) -> None:
        queue = self._asked.popleft()
        if self.on_got is not None:
            self.on_got(queue, message)
