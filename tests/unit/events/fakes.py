"""A broadcast that remembers what was told, and a loop that turns by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workerd.broadcast import Notice


class FakeBroadcast:
    dropped = 0

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def told(self) -> list[tuple[str, Any]]:
        """(key, body) of each message."""
        return [(notice.key, json.loads(notice.body)) for notice in self.notices]


class Turns:
    """``call_soon`` of a loop."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def __call__(self, callback: Callable[[], object]) -> None:
        self.calls.append(callback)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()
