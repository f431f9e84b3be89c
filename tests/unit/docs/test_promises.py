"""Each promise of the README names the test that shows it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_promise_is_shown_by_a_test_that_is_there() -> None:
    table = (
        (ROOT / "README.md").read_text().partition("| promise | today | shown by |\n")[2].partition("\n\n")[0]
    )
    rows = table.splitlines()[1:]
    assert len(rows) > 20
    for row in rows:
        found = re.search(r"\[`([\w/]+\.py)`\]\(tests/(\1)\) \|$", row)
        assert found, row
        assert "\ndef test_" in (ROOT / "tests" / found[1]).read_text()
