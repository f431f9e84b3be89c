"""Rate limits that a step changes, and buckets of its own."""

from __future__ import annotations

from collections.abc import Callable


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("rate-limits.md")
