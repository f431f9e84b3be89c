"""What a seat can do, whatever the broker.

Units:   seconds; Unix time.
Errors:  those of the broker's client, which ``app.broker.reaching`` turns into ours.  After one nothing is
         known of the seat until it is taken again: ``close`` it.
"""

from __future__ import annotations

from typing import Protocol

from workerd.app.sending.outlet.base import Posting
from workerd.beat.record import Record, State


class Seat(Protocol):
    """Held by one beat at a time; whoever holds it no more publishes nothing."""

    fresh: bool
    """It has been taken anew since the state was read: somebody else may have had it in between."""

    def hold(self) -> bool:
        """Take it if it is free, or keep it; True while it is ours."""

    def patience(self) -> float:
        """After ``hold`` has said no: seconds until it is worth another try."""

    def fileno(self) -> int | None:
        """What can be read when there may be news; None where nobody tells."""

    def read(self) -> State:
        """What the broker remembers; works without the seat, too."""

    def put(self, name: str, record: Record, posting: Posting | None) -> bool:
        """Send ``posting``, if there is one, and remember ``record``: both or neither.

        False when the seat is not ours any more; nothing has been done then.
        """

    def paused(self) -> set[str]:
        """The entries that rest."""

    def pause(self, name: str, paused: bool) -> None:
        """Let an entry rest, or no more; works without the seat, too."""

    def release(self) -> None:
        """Leave it to the next one."""

    def close(self) -> None:
        """Drop the connection."""
