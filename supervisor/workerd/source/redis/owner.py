"""Under which name work is in flight, and whose work is ours to give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workerd.source.base import Deaths, counted_in_it


@dataclass(frozen=True)
class Owner:
    """One incarnation of the daemon; ``lease`` is in seconds.

    ``deaths`` knows what its dead ``predecessors`` have left untold of the messages that they ran.
    """

    name: str
    predecessors: Sequence[str]
    lease: float
    deaths: Deaths = counted_in_it
