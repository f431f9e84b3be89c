"""Ours with ten tasks of which one may begin an hour; before the plain tasks come twenty calls of each."""

from __future__ import annotations

from typing import Any

from app_workerd import app, noop, note, send, send_many

__all__ = ["app", "limited", "noop", "send", "send_as", "send_many"]
TYPES = 10


def _noop(number: int) -> int:
    note(number)
    return number


limited = [app.task(name=f"limited.{n}", rate_limit="1/h")(_noop) for n in range(TYPES)]


def send_as(number: int, shape: dict[str, Any]) -> None:
    limited[number % TYPES].delay(number)
