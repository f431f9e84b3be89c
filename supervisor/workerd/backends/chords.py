"""How a backend counts the ends of the calls in a chord's header.

Errors:  UnavailableError when the server cannot be reached.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one call of a header; ``result`` is what a result would hold of it."""

    group_id: str
    task_id: str
    index: int | None
    state: str
    result: Any


class Count(IntEnum):
    """What the count of a part has shown."""

    OVER = -1
    """The body has been sent."""
    INCOMPLETE = 0
    OURS = 1
    """All are there, and it is for who has counted now to send the body."""
    ANOTHERS = 2
    """All are there, and somebody else is about to send the body, or has died over it."""


class Chords(Protocol):
    """The counts of one backend."""

    def expect(self, group_id: str, size: int) -> None:
        """A header has so many calls; before the last of them is sent."""

    def expect_more(self, group_id: str) -> None:
        """A header has one call more."""

    def count(self, part: Part, claim: str) -> Count:
        """Count ``part``, once however often it is told; ``claim`` is the text of the claim on the body."""

    def parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """(task id, state, result) of the parts that were counted, in their order."""

    def hold(self, group_id: str, claim: str, seconds: float) -> bool:
        """Keep the claim for so long; False when it is another's by now."""

    def release(self, group_id: str, claim: str) -> None:
        """Leave the body to others."""

    def close(self, group_id: str, claim: str) -> None:
        """The body has been sent: forget the parts, and any that comes later."""

    def failed(self, group_id: str) -> None:
        """The body will not be sent: a part that comes again changes nothing."""
