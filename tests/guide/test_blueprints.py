"""Blueprints: which steps there are, and in which order they start."""

from __future__ import annotations

from collections.abc import Callable


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("blueprints.md")
