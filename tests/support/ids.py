"""Messages and results with their random ids replaced by the order in which they come."""

from __future__ import annotations

import re
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def named(value: Any, names: dict[str, str], key: str = "") -> Any:
    """``value`` with ``id-0``, ``id-1`` ... for its ids; ``names`` remembers which is which."""
    if isinstance(value, dict):
        return {name: named(value[name], names, name) for name in sorted(value)}
    if isinstance(value, (list, tuple)):
        items = sorted(value) if key == "stamped_headers" else value
        return [named(item, names) for item in items]
    if isinstance(value, str):
        return _UUID.sub(lambda found: names.setdefault(found[0], f"id-{len(names)}"), value)
    return value
