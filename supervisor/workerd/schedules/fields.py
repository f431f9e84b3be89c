"""One field of a crontab: from what an author writes to the set of numbers that it means.

Errors:  ParseException, a ValueError, for a text that cannot be read; ValueError for a number that the field
         has not; TypeError for what is neither a number, nor a text, nor several numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class ParseException(ValueError):  # noqa: N818 (the name that authors know)
    """A text that is no field of a crontab."""


@dataclass(frozen=True)
class Field:
    """The numbers from ``lowest`` to ``highest``, some of which have names."""

    what: str
    lowest: int
    highest: int
    names: Mapping[str, int] = field(default_factory=dict)
    """By their first three letters."""

    def numbers(self, value: Any) -> frozenset[int]:
        """Those that ``value`` means."""
        if isinstance(value, bool):
            raise TypeError(f"{self.what} cannot be {value!r}: write a number, a text or several numbers")
        if isinstance(value, int):
            return frozenset((self._checked(value),))
        if isinstance(value, str):
            return frozenset(number for part in value.split(",") for number in self._part(part.strip()))
        if isinstance(value, Iterable):
            found = frozenset(number for one in value for number in self.numbers(one))
            if found:
                return found
        raise TypeError(f"{self.what} cannot be {value!r}: write a number, a text or several numbers")

    def _part(self, text: str) -> Iterable[int]:
        """``*``, ``3``, ``mon``, ``1-5``, and the former and ranges with ``/2``; a range may go round."""
        match = re.fullmatch(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", text)
        if match is None or (match[4] is not None and (int(match[4]) < 1 or not (match[1] or match[3]))):
            raise ParseException(
                f"{self.what} {text!r} cannot be read: write such as 5, 1-5, */15 or 0-30/10"
            )
        if match[1]:
            found = list(range(self.lowest, self.highest + 1))
        else:
            found = self._range(self._number(match[2]), self._number(match[3] or match[2]))
        return found[:: int(match[4] or 1)]

    def _range(self, first: int, last: int) -> list[int]:
        if first <= last:
            return list(range(first, last + 1))
        return [*range(first, self.highest + 1), *range(self.lowest, last + 1)]

    def _number(self, text: str) -> int:
        if text.isdecimal():
            return self._checked(int(text))
        if text[:3].lower() in self.names:
            return self.names[text[:3].lower()]
        raise ParseException(f"{self.what} has no {text!r}")

    def _checked(self, number: int) -> int:
        if not self.lowest <= number <= self.highest:
            raise ParseException(f"{self.what} {number} is not from {self.lowest} to {self.highest}")
        return number


_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_WEEK = Field("day_of_week", 0, 6, {name: number for number, name in enumerate(_DAYS)})
"""Sunday is 0."""
DAY_OF_MONTH = Field("day_of_month", 1, 31)
MONTH = Field("month_of_year", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
