"""The owner's name in the tags of messages in flight."""

from __future__ import annotations

import re
import secrets

_TAG = re.compile(r"(.+):[0-9a-f]{12}\.[0-9]+")


def new_prefix(owner: str) -> str:
    """What stands before the numbers of the tags of ``owner``; no two calls give the same."""
    return f"{owner}:{secrets.token_hex(6)}."


def owner_of(tag: str) -> str | None:
    """Whose tag it is; None for one that is not of our form, such as Celery's, which are UUIDs."""
    match = _TAG.fullmatch(tag)
    return match[1] if match is not None else None
