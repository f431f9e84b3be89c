"""How many messages of tasks are held here at most, with the methods of kombu's ``QoS``.

It is the upper bound only: within it the daemon asks for no more than its slots will start soon.  It stays
over reconnects.

Units: messages, of every pool together; 0 is the daemon's own bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd.delivery import Dispatcher


class TaskQoS:
    """``c.qos``: the most messages of tasks that are held here, of every pool together.

    0 is the daemon's own bound.  ``value`` is in force once ``prev`` is the same.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.value = self.prev = dispatcher.most_held

    def increment_eventually(self, n: int = 1) -> int:
        """So many more, from the loop's next turn on; 0 stays 0."""
        if self.value:
            self._eventually(self.value + max(n, 0))
        return self.value

    def decrement_eventually(self, n: int = 1) -> int:
        """So many less, but not less than 1, from the loop's next turn on; 0 stays 0."""
        if self.value:
            self._eventually(max(self.value - max(n, 0), 1))
        return self.value

    def set(self, pcount: int) -> int:
        """So many, from now on.  Errors: ValueError for less than 0."""
        if pcount < 0:
            raise ValueError(f"hold 0 messages or more, not {pcount}")
        self.value = self.prev = pcount
        self._dispatcher.hold_at_most(pcount)
        return pcount

    def update(self) -> int:
        """What was to be in force eventually is in force."""
        return self.set(self.value) if self.prev != self.value else self.value

    def _eventually(self, value: int) -> None:
        if self.value == self.prev:
            self._dispatcher.timer.call_after(0.0, self.update)
        self.value = value
