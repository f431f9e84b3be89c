"""Every chapter of the extension guide stands in its contents, and a test follows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workerd.cli import main

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs/guide"
CONTENTS = GUIDE / "extending.md"
CHAPTERS = [page.name for page in sorted(GUIDE.glob("*.md")) if page != CONTENTS]


def test_every_chapter_stands_in_the_contents_once() -> None:
    listed = re.findall(r"^\d+\. \[[^\]]+\]\(([a-z-]+\.md)\): ", CONTENTS.read_text(), flags=re.MULTILINE)
    assert sorted(listed) == CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_chapter_has_a_test_that_follows_it(chapter: str) -> None:
    name = chapter.removesuffix(".md").replace("-", "_")
    test = ROOT / f"tests/guide/test_{name}.py"
    assert test.exists(), f"write {test.relative_to(ROOT)}"
    assert f'follow("{chapter}")' in test.read_text()


def test_the_figure_of_the_guide_is_that_of_this_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["graph", "bootsteps", "--format", "svg"]) == 0

    figure = GUIDE / "bootsteps.svg"
    assert capsys.readouterr().out == figure.read_text(), (
        f"the steps have changed: workerd graph bootsteps --format svg > {figure.relative_to(ROOT)}"
    )
