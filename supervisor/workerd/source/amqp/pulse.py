"""Whether the broker answers, asked over a link that is there, without waiting for the answer.

To connect is to wait for the broker.  One that is frozen takes the connection and says nothing, which would
hold up the loop for as long as a connect may take, again and again; so it is asked here first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from amqp import Channel, spec

Then = Callable[[], object]


class Pulse(Channel):  # type: ignore[misc]  # py-amqp has no types
    """A channel that does nothing else; it opens with the first question."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._asked: deque[Then] = deque()
        self._opening = False

    def ask(self, then: Then) -> None:
        """``then`` is called from inside the link's read, or never.  Raises what py-amqp raises."""
        self._asked.append(then)
        if not self._opening:
            self._opening = True
            # The broker works off a channel's methods in their order: no need to wait for its OpenOk.
            self.send_method(spec.Channel.Open, "s", ("",))
        # The least that is answered: a limit for consumers that this channel never has.
        self.send_method(spec.Basic.Qos, "lBb", (0, 1, False))

    def _setup_listeners(self) -> None:
        super()._setup_listeners()
        self._callbacks[spec.Basic.QosOk] = self._on_answer

    def _on_answer(self) -> None:
        self._asked.popleft()()
