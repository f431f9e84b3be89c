"""The dead room: the one door through which messages go to ``<queue>.dead``.

Whatever cannot be read, is not known, is refused or has killed too often passes here; it is counted, told
in the log with the command that shows it, and leaves with a letter that says why.

Units: Unix time.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from workerd.delivery.request import Settlement, Verdict
from workerd.protocol.dead import MOST_REASON, Letter
from workerd.protocol.lenient import printable

if TYPE_CHECKING:
    from workerd.clock import Clock
    from workerd.delivery.narrator import Narrator
    from workerd.delivery.totals import Totals
    from workerd.source.base import Delivery


class DeadRoom:
    """Writes letters for one node."""

    def __init__(self, node: str, clock: Clock, totals: Totals, narrator: Narrator) -> None:
        self.node, self.clock, self.totals, self.narrator = node, clock, totals, narrator

    def admit(self, delivery: Delivery, reason: str, deaths: int = 0) -> Verdict:
        """The verdict by which ``delivery`` is put aside, with its letter."""
        letter = Letter(
            id=secrets.token_hex(6),
            reason=printable(reason)[:MOST_REASON],
            queue=delivery.queue,
            time=round(self.clock.wall(), 3),
            node=self.node,
            deaths=deaths,
        )
        self.totals.put_aside += 1
        self.narrator.put_aside(delivery, letter, self.node)
        return Verdict(Settlement.PUT_ASIDE, reason, letter)
