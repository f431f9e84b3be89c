"""Journal: what the reconciler saw and did, in order; status, debugging and tests read it.

Units: ``at`` is on the pool's clock, monotonic; ``ready`` and ``wanted`` are counts of children.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

SIZE = 1000
"""Entries that are kept; a reload of a hundred slots writes four hundred."""


class Happened(Enum):
    """ASKED: a template was asked for a child, or one was spawned.  SETTLED and COMPLETE: of a reload."""

    WANTED = "wanted"
    BEGUN = "generation begun"
    TEMPLATE_STARTED = "template started"
    TEMPLATE_READY = "template ready"
    TEMPLATE_GONE = "template gone"
    ASKED = "child asked for"
    READY = "child ready"
    RETIRED = "child retired"
    GONE = "child gone"
    PASSED = "trial passed"
    PROMOTED = "generation promoted"
    SETTLED = "generation settled"
    COMPLETE = "generation complete"
    FAILED = "generation failed"
    ROLLED_BACK = "generation rolled back"
    DEGRADED = "degraded"
    HEALTHY = "healthy"


class Entry(msgspec.Struct, frozen=True):
    """One fact.  ``generation`` and ``slot`` are 0 for none; ``ready`` counts every generation's."""

    at: float
    happened: Happened
    generation: int
    slot: int
    ready: int
    wanted: int
    text: str

    def plain(self) -> dict[str, Any]:
        """For ``status``."""
        return msgspec.structs.asdict(self) | {"happened": self.happened.value}


class Journal:
    """The last entries, the oldest first."""

    def __init__(self, size: int = SIZE) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)

    def add(self, entry: Entry) -> None:
        """Write one."""
        self._entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
