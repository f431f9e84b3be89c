"""For how long each owner's lease has been seen missing.  Pure.

A lease's silence counts only while the broker was up and we were awake: two looks that lie too far
apart prove nothing about the time between them, so every count begins anew.  Whoever uses this begins
with nothing on each link.

Units: seconds of ``Clock.boottime``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


class Silences:
    """``lease`` is how long an owner must have been seen silent; ``gap`` is the longest between two looks."""

    def __init__(self, lease: float, gap: float) -> None:
        self._lease, self._gap = lease, gap
        self._since: dict[str, float] = {}
        self._answered = -math.inf

    def seen(self, asked: float, answered: float, missing: Iterable[str]) -> list[str]:
        """A look, asked and answered then, saw these leases ``missing``; return those silent for long enough.

        Whose lease is not among them has one.
        """
        if answered - asked > self._gap or asked - self._answered > self._gap:
            self._since.clear()
        self._answered = answered
        # What is missing was missing at the answer at the latest, and still was when the next look was asked.
        self._since = {owner: self._since.get(owner, answered) for owner in missing}
        return [owner for owner, since in self._since.items() if asked - since >= self._lease]

    def forget(self, owner: str) -> None:
        """Begin anew with this one."""
        self._since.pop(owner, None)
