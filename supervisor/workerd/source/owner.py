"""Under which name work is in flight, and whose work is ours to give back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workerd.source.base import Deaths, counted_in_it


class Owner(msgspec.Struct, frozen=True):
    """One incarnation of the daemon.

    ``predecessors`` are the dead ones of the same daemon, and ``deaths`` knows what they have left untold of
    the messages that they ran; ``lease``, in seconds, is how long what is held stays ours without a sign
    of life.  Only Redis has to be told all this.
    """

    name: str
    predecessors: Sequence[str] = ()
    lease: float = 30.0
    deaths: Deaths = counted_in_it
