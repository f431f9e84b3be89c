"""The no-op task of every contender: it answers when it began, on the clock that all processes share."""

from __future__ import annotations

import time
from typing import Any


def begun(payload: bytes) -> int:
    """Nanoseconds of the monotonic clock; ``payload`` travels and is not looked at."""
    return time.monotonic_ns()


class Runner:
    """The same for ``workerd_pool``."""

    def table(self) -> dict[str, Any]:
        return {}

    def child_started(self) -> None:
        """Nothing to prepare."""

    def child_stopping(self) -> None:
        """Nothing to undo."""

    def run(self, header: dict[str, Any], body: bytes, report: Any) -> tuple[dict[str, Any], bytes]:
        return {}, begun(body).to_bytes(8, "little")


def load(arg: bytes) -> Runner:
    """The entry of the template."""
    return Runner()
