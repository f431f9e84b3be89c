"""Sub-commands of an installed package: the one in examples/, installed as its reader would."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.usefixtures("installing")
def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("sub-commands.md")
