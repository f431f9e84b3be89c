"""One group of queues on Redis: its room, its looks, and what wakes it.

Groups share the link and the rounds of commands; a group without room sends nothing, so it holds up no other.

Units: seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from workerd.source.base import Delivery
from workerd.source.redis.looks import Looks
from workerd.transport.loop import Cancelable, Loop

SPREAD, LONGEST_SPREAD = 0.002, 0.02
"""How far a node's looks are spread for each wake-up that was in vain, and at most."""


class Group:
    """``ask`` asks for a round, in which ``look`` is called; ``ask_at_once`` for one without delay.

    ``hand_over`` takes what was found.
    """

    def __init__(
        self,
        loop: Loop,
        looks: Looks,
        ask: Callable[[], object],
        ask_at_once: Callable[[], object],
        hand_over: Callable[[list[Delivery]], object],
    ) -> None:
        self.looks, self.room = looks, 0
        self._loop, self._ask, self._ask_at_once, self._hand_over = loop, ask, ask_at_once, hand_over
        self._turn: Cancelable | None = None  # a wake-up that lets other nodes go first
        self._woken = False  # the look that comes next is one for which the server woke us
        self._wasted = 0  # such looks in a row that came too late for a message

    def fetch(self, room: int) -> None:
        self.room = room
        self.wait()

    def wait(self) -> None:
        """Look in the next round, unless the server will tell when to."""
        if self.room > 0 and not self.looks.armed:
            self._ask()

    def look(self) -> bool:
        """A round has come; True when a look was sent."""
        looks = self.looks
        # What is armed has seen empty lists, and the server will tell of a change.
        if self.room <= 0 or (looks.armed and looks.tracking):
            return False
        return looks.look(self.room, self._looked)

    def look_anyway(self) -> None:
        """Whether the server tells us or not."""
        self.looks.armed = False
        self.wait()

    def pushed(self, push: list[Any]) -> None:
        """The server tells of changes."""
        if not self.looks.concerns(push):
            return
        self.looks.armed = False
        self._woken = True
        # Every idle node wakes for one message; those that came too late last time let others go first.
        spread = min(self._wasted * SPREAD, LONGEST_SPREAD)
        if self._turn is not None:
            self.stop()
        if spread:
            self._turn = self._loop.call_later(random.uniform(0, spread), self.wait)
        elif self.room > 0:
            self._ask_at_once()

    def stop(self) -> None:
        """Forget a wake-up that is on its way.  May be called twice."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _looked(self, deliveries: list[Delivery], more: bool) -> None:
        self._wasted = 0 if deliveries else self._wasted + self._woken
        self._woken = False
        if deliveries:
            self.room = max(self.room - len(deliveries), 0)
        if deliveries or self.room == 0:
            # An empty answer counts too for who waits until nothing is on its way any more.
            self._hand_over(deliveries)
        if more:
            self.wait()
