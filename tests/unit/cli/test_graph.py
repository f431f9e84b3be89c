"""``workerd graph``: the app's steps among the daemon's own, made and never started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workerd.cli import main

PROJ = """
from workerd import App, bootsteps

app = App("proj")
print("imported")


class Cache(bootsteps.StartStopStep):
    requires = ("Timer",)

    def __init__(self, worker):
        print("made")
        {fault}

    def start(self, worker):
        raise AssertionError


class Off(bootsteps.Step):
    enabled = False


app.steps["worker"].add(Cache)
app.steps["consumer"].add(Off)
"""

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """An app whose step has this fault, in a current directory where nothing else is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WORKERD_STATE_DIR", str(tmp_path / "s"))
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", str(tmp_path / "r"))

    def one(fault: str) -> None:
        monkeypatch.delitem(sys.modules, "graphproj", raising=False)
        (tmp_path / "graphproj.py").write_text(PROJ.replace("{fault}", fault))

    return one


def test_added_steps_and_those_that_are_off_are_shown(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("pass")

    assert main(["-A", "graphproj", "graph", "bootsteps"]) == 0

    shown = capsys.readouterr()
    assert shown.out.startswith("Worker\n   1  Hub\n")
    assert "Cache         after Timer; added: graphproj.Cache\n" in shown.out
    assert "Off         added: graphproj.Off; off\n" in shown.out
    assert "Beat          after Broker; off\n" in shown.out
    assert shown.err == "imported\nmade\n"
    assert [path.name for path in tmp_path.iterdir() if path.name in "rs"] == []


def test_a_step_that_raises_while_it_is_made_is_named(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("raise OSError('no cache')")

    assert main(["-A", "graphproj", "graph", "bootsteps"]) == 70

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "OSError('no cache') raised while Cache, a step of the Worker blueprint, was made" in shown.err
