"""The table of signals by state in the reference is the table that decides."""

from __future__ import annotations

import re
from pathlib import Path
from signal import Signals

import pytest

from workerd.worker.life.lifecycle import Life, State, asked_by, decide

TEXT = (Path(__file__).parents[3] / "docs/reference/signals.md").read_text()
STATES = [state for state in State if state is not State.STOPPED]
ROWS = re.findall(r"^\| ([A-Z0-9]+) \|((?: [a-z]+ \|){6})$", TEXT, flags=re.MULTILINE)

WORDS = {
    "BeginDrain()": "drain",
    "SoftStop()": "stop",
    "KillChildren()": "kill",
    "BeginReload()": "reload",
    "Resize(by=1)": "grow",
    "Resize(by=-1)": "shrink",
    "Dump()": "dump",
}


def word(signum: Signals, state: State) -> str:
    life = Life(state)
    event = asked_by(signum, life)
    assert event is not None
    after, commands = decide(life, event)
    if not commands:
        return "later" if after.reload_again else "nothing"
    last = repr(commands[-1])
    if last.startswith("Refuse("):
        return "refused"
    return "restart" if after.restart else WORDS[last]


def test_every_signal_that_asks_for_something_has_its_row() -> None:
    asking = {signum for signum in Signals if asked_by(signum, Life(State.RUNNING)) is not None}
    assert {f"SIG{name}" for name, _ in ROWS} == {signum.name for signum in asking}
    heads = re.search(r"^\| signal \| (booting .*) \|$", TEXT, flags=re.MULTILINE)
    assert heads is not None
    assert heads[1].split(" | ") == [state.value for state in STATES]


@pytest.mark.parametrize(("name", "cells"), ROWS, ids=[name for name, _ in ROWS])
def test_a_row_says_what_is_decided(name: str, cells: str) -> None:
    told = cells.strip(" |").split(" | ")
    assert told == [word(Signals[f"SIG{name}"], state) for state in STATES]
