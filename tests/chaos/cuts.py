"""What may happen to a link: each breaks it for good, at a moment and in a way that the seed decides."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tests.chaos.bed import Bed, Node

LATEST = 0.3
"""Seconds until the cut; tasks run, start and end meanwhile."""
SECONDS = (0.0, 0.0, 0.0, 0.01, 0.05, 0.25)
"""How long tasks may run: some end while the link is down."""
MOST_BYTES = 6000
"""Until the cut, of all that a daemon and a broker say to each other in some turns."""


class Cuts:
    """Cuts one node's link while it works; each method returns when the link may be made anew."""

    def __init__(self, bed: Bed, node: Node, rng: random.Random) -> None:
        self.bed, self.proxy, self.rng = bed, node.proxy, rng
        self.log: list[str] = []
        self.kinds: dict[Callable[[], object], int] = {
            self.in_order: 2,
            self.by_reset: 2,
            self.within_a_message: 6,
            self.with_answers_on_their_way: 3,
            self.half_open: 1,
            self.and_refuse: 2,
        }

    def cut(self) -> None:
        """One of them, by weight."""
        [kind] = self.rng.choices(list(self.kinds), list(self.kinds.values()))
        self.log.append(kind.__name__)
        self.send()
        kind()

    def send(self) -> None:
        """Some tasks; a few of them are acknowledged before they run."""
        self.bed.send(*self.rng.choices(SECONDS, k=self.rng.randrange(2, 12)))
        self.bed.send(*self.rng.choices(SECONDS, k=self.rng.randrange(0, 3)), task="ledger.early")

    def in_order(self) -> None:
        self._later()
        self.proxy.cut()

    def by_reset(self) -> None:
        self._later()
        self.proxy.reset()

    def within_a_message(self) -> None:
        """After so many bytes, wherever that is: in a fetch, in its answer, in an acknowledgement."""
        accepted = self.proxy.accepted
        self.proxy.break_after(self.rng.randrange(1, MOST_BYTES), reset=self.rng.random() < 0.5)
        while self.proxy.accepted == accepted and self.proxy.links:
            self.send()

    def with_answers_on_their_way(self) -> None:
        """The broker has done what it was asked, and nobody is told."""
        self.proxy.freeze("down")
        self._later()
        self.proxy.resume()
        self.proxy.reset()

    def half_open(self) -> None:
        """Silence in both directions, shorter than it takes to be noticed, then the end."""
        self.proxy.freeze()
        self._later()
        self.proxy.reset()
        self.proxy.resume()

    def and_refuse(self) -> None:
        """New connections are refused for a while."""
        self._later()
        self.proxy.refuse()
        self.proxy.cut()
        self._later()
        self.proxy.resume()

    def _later(self) -> None:
        # The moment of a fault, not a wait for a fact.
        time.sleep(self.rng.uniform(0.0, LATEST))
