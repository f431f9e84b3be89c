"""Tasks of other shapes than the plain one, for Celery and ours.

A shape is a mapping: ``payload`` (bytes of one argument), ``sleep`` (seconds that the task takes, with
``uneven`` on the average), ``queues`` (over which tasks are spread: ``q0``, ...), ``countdown`` (seconds).
"""

from __future__ import annotations

import time
from typing import Any


def arguments(number: int, shape: dict[str, Any]) -> tuple[Any, ...]:
    """Of the task ``shaped``."""
    payload = "x" * shape.get("payload", 0)
    return number, payload, shape.get("sleep", 0.0), shape.get("uneven", False)


def options(number: int, shape: dict[str, Any]) -> dict[str, Any]:
    """Of its call."""
    queue = {"queue": f"q{number % shape['queues']}"} if "queues" in shape else {}
    later = {"countdown": shape["countdown"]} if "countdown" in shape else {}
    return queue | later


def sleep(number: int, seconds: float, uneven: bool) -> None:
    """Between half of the seconds and one and a half, if ``uneven``: so children do not march in step."""
    if seconds:
        time.sleep(seconds * (0.5 + number * 0.618 % 1.0) if uneven else seconds)
