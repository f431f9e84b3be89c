"""Fixtures of the chapters: a reader of their snippets, and the daemons of the system tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.snippets import REPOSITORY, Reader, snippets
from tests.system.conftest import broker, fresh_rabbit_url, make, proxy, server, start

GUIDE = Path(__file__).parents[2] / "docs/guide"

__all__ = ["broker", "fresh_rabbit_url", "make", "proxy", "server", "start"]


@pytest.fixture
def installing(reader: Reader, short_dir: Path) -> None:
    """The reader has the examples, and installs without a network, where it is gone after the test."""
    (reader.home / "examples").symlink_to(REPOSITORY / "examples")
    reader.env = {
        **reader.env,
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_TARGET": str(short_dir / "installed"),
        "PYTHONPATH": str(short_dir / "installed"),
    }


@pytest.fixture
def follow(reader: Reader) -> Callable[[str], None]:
    """``follow("first-step.md")``: do what that chapter tells its reader to do."""

    def one(chapter: str) -> None:
        assert any(snippet.role == "run" for snippet in snippets(GUIDE / chapter)), "nothing would be run"
        reader.follow(GUIDE / chapter)

    return one
