"""Remote control: commands of one's own."""

from __future__ import annotations

from collections.abc import Callable


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("remote-control.md")
