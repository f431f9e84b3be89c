"""Links between the repository's documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from workerd.config.load import KEYS
from workerd.control.commands import builtin_commands
from workerd.errors import ExitCode
from workerd.worker.http.families import UP
from workerd.worker.http.kinds import METRICS

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:")


def anchors(document: Path) -> set[str]:
    """What ``#...`` can name there, by GitHub's rule: lower case, no signs, dashes for spaces."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_resolves(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if ELSEWHERE.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading in {target.name}"


def test_every_document_is_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        reached.add(document)
        names = (
            link.partition("#")[0] for link in LINK.findall(document.read_text()) if not ELSEWHERE.match(link)
        )
        targets = {(document.parent / name).resolve() for name in names if name.endswith(".md")}
        ahead.extend(targets - reached)
    assert sorted(set(DOCUMENTS) - reached) == []


def test_every_object_of_the_api_reference_is_there() -> None:
    pages = (ROOT / "docs/reference/api").glob("*.md")
    names = [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
    ]
    assert names
    for name in names:
        assert resolve_name(name), name


def test_every_setting_has_its_row_in_the_reference() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)`", (ROOT / "docs/reference/settings.md").read_text(), flags=re.MULTILINE
    )
    assert rows == list(KEYS)


def test_every_command_of_remote_control_has_its_row_in_the_reference() -> None:
    text = (ROOT / "docs/reference/remote-control.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)`(?: \| (?:`([a-z_]+)`)?)?", text, flags=re.MULTILINE)
    remote = [one for one in builtin_commands() if one.remote is not None]
    told = {(one.name, (one.remote and one.remote.alias) or "") for one in remote}
    assert set(rows) == told
    looks, changes = (text.index(f"## Commands that {word}") for word in ("look", "change"))
    for one in remote:
        assert (text.index(f"\n| `{one.name}`") > changes) is one.changes, one.name
    assert looks < changes


def test_every_metric_has_its_row_in_the_reference() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text().partition("## Labels")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z]+) \| (.*?) ?\| (.*) \|$", text, flags=re.MULTILINE)
    written = [
        (name, kind, tuple(re.findall(r"`([a-z]+)`", labels)), told) for name, kind, labels, told in rows
    ]
    suffix = {"counter": "_total"}
    assert written[1:] == [
        (kind.name + suffix.get(kind.type, ""), kind.type, kind.labels, kind.text) for kind in METRICS
    ]
    assert written[0][0] == UP


def test_every_exit_code_has_its_row_in_the_reference() -> None:
    text = (ROOT / "docs/reference/exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", text, flags=re.MULTILINE)
    assert rows == [(str(int(code)), code.name) for code in ExitCode]
