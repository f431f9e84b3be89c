"""Under which name work is in flight, and whose work is ours to give back."""

from __future__ import annotations

import re
import secrets
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


_TAG = re.compile(r"(.+):[0-9a-f]{12}\.[0-9]+")


def new_prefix(owner: str) -> str:
    """What stands before the numbers of the tags of ``owner``; no two calls give the same."""
    return f"{owner}:{secrets.token_hex(6)}."


def owner_of(tag: str) -> str | None:
    """Whose tag it is; None for one that is not of our form, such as Celery's, which are UUIDs."""
    match = _TAG.fullmatch(tag)
    return match[1] if match is not None else None
