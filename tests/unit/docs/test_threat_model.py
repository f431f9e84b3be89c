"""Each line of the threat model names a test, and there is one of that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "explanation" / "threat-model.md").read_text()
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat")]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_what_a_line_promises_is_tested(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
    assert named
    for file, name in named:
        text = (ROOT / file).read_text()
        assert f"def {name or 'test_'}" in text, f"{file} has no {name or 'test'}"


def test_all_lines_are_seen() -> None:
    assert len(ROWS) > 20
