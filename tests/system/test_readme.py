"""What the README, the tutorial and the how-tos tell a reader to do works, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.snippets import Reader, snippets

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/rate-limits.md",
    "docs/how-to/output.md",
    "docs/how-to/logs.md",
    "docs/how-to/metrics.md",
    "docs/how-to/send-many.md",
    "docs/how-to/periodic-tasks.md",
    "docs/how-to/canvas.md",
    "docs/how-to/purge.md",
    "docs/how-to/stop.md",
    "docs/how-to/systemd.md",
    "docs/how-to/detach.md",
]
AT_LENGTH = [
    "docs/how-to/reload.md",
    "docs/how-to/pools.md",
    "docs/how-to/limits.md",
    "docs/how-to/memory.md",
    "docs/how-to/autoscale.md",
    "docs/how-to/dead-letters.md",
    "docs/how-to/routing.md",
    "docs/how-to/delayed.md",
    "docs/how-to/results.md",
    "docs/how-to/flower.md",
]
"""Read with ``--long``: what they tell is tried elsewhere as well, and each takes a quarter of a minute."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", [*DOCUMENTS, *(pytest.param(name, marks=pytest.mark.long) for name in AT_LENGTH)]
)
def test_every_snippet_does_what_the_text_says(reader: Reader, name: str) -> None:
    document = ROOT / name
    assert any(snippet.role == "run" for snippet in snippets(document)), "nothing would be run"
    reader.follow(document)
