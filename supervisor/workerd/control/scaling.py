"""What ``scale SPEC`` means, as bounds of a pool's size."""

from __future__ import annotations

import re

from workerd.config.model import MAX_SLOTS
from workerd.errors import UsageError

_SPEC = re.compile(r"(?P<sign>[+-])?(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?")


def scaled(bounds: tuple[int, int], spec: str) -> tuple[int, int]:
    """The (lower, upper) that ``spec`` makes of ``bounds``.

    ``8`` fixes the size, ``2-8`` sets a range, ``+2`` and ``-1`` move both bounds, not below one slot.
    Errors: UsageError for anything else, and for more than ``MAX_SLOTS``.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None or (match["sign"] and match["last"]):
        raise UsageError(f"size {spec!r} cannot be read", "write 8, +2, -1 or 2-8")
    first = int(match["first"])
    if match["sign"]:
        step = first if match["sign"] == "+" else -first
        lower, upper = max(1, bounds[0] + step), max(1, bounds[1] + step)
    else:
        lower, upper = first, int(match["last"] or first)
    if lower < 1:
        raise UsageError(f"size {spec!r} cannot hold", "a pool has 1 slot or more")
    if lower > upper:
        raise UsageError(f"size {spec!r} cannot hold", "a range begins with its smaller end, such as 2-8")
    if upper > MAX_SLOTS:
        raise UsageError(f"size {spec!r} makes {upper} slots", f"a pool has at most {MAX_SLOTS}")
    return lower, upper
