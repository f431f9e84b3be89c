"""Rates as Celery writes them, for tasks and in remote control: ``10/m``, ``5/s`` or a number.

Units:   a bare number counts starts for each second.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias

Rate: TypeAlias = str | float | None
"""As people write it; None and 0 are no limit."""

_TEXT = re.compile(r"(\d+(?:\.\d+)?)(?:/([smh]))?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(value: Any) -> float:
    """Starts for each second, 0 for no limit.  Errors: ValueError with what to write."""
    if value is None:
        return 0.0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        rate = float(value)
    elif isinstance(value, str) and (match := _TEXT.fullmatch(value.strip())) is not None:
        rate = float(match[1]) / _SECONDS[match[2] or "s"]
    else:
        raise ValueError("write a number for each second, or a text such as '10/s', '100/m' or '5/h'")
    if not 0 <= rate < math.inf:
        raise ValueError("a rate must be 0 or more, and finite")
    return rate


def rate_text(rate: float) -> str:
    """``10/m``: the rate for the shortest time in which there is a whole start; ``none`` for no limit."""
    if not rate:
        return "none"
    unit = next((unit for unit, seconds in _SECONDS.items() if rate * seconds >= 0.9999), "h")
    return f"{rate * _SECONDS[unit]:.4g}/{unit}"
