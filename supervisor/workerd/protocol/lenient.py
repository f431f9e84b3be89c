"""What stock clients send beside the letter of the protocol, brought into its form.

Python writes NaN and halves of surrogate pairs (file names that are no UTF-8) into JSON; senders set ids of
groups to numbers, priorities to texts and fractions, and counts below zero.

Errors:  ValueError, TypeError, OverflowError and RecursionError for what has no meaning even so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# What another encoder below (msgpack, AMQP) can carry too.
MOST = 2**31 - 1

_TEXTS = frozenset(
    {"shadow", "group", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "reply_to"}
    | {"correlation_id", "x-workerd-requeued"}
)
_COUNTS = {"retries": MOST, "replaced_task_nesting": MOST, "x-workerd-deaths": MOST, "priority": 255}


def printable(text: str) -> str:
    """``text`` with halves of surrogate pairs as escapes, so that every encoder takes it."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def printable_tree(value: Any) -> Any:
    """``value`` with every text in it ``printable``."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable_tree(key): printable_tree(item) for key, item in value.items()}
        case list() | tuple():
            return [printable_tree(item) for item in value]
        case _:
            return value


def load_json(data: bytes | str) -> Any:
    """JSON as Python writes it."""
    return printable_tree(json.loads(data))


def tidy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Headers or properties with texts that are texts, and counts and limits within bounds."""
    tidied = dict(fields)
    for name, value in fields.items():
        if value is None:
            continue
        if name in _TEXTS:
            tidied[name] = value if isinstance(value, str) else str(value)
        elif name in _COUNTS:
            tidied[name] = min(max(int(value), 0), _COUNTS[name])
        elif name == "timelimit" and isinstance(value, (list, tuple)):
            tidied[name] = [None if _endless(limit) else limit for limit in value]
    return tidied


def _endless(limit: Any) -> bool:
    return isinstance(limit, float) and not math.isfinite(limit)
