"""Events as lines for people."""

from __future__ import annotations

from typing import Any

import pytest

from workerd.cli.verbs.events import MOST_NAMES, Names, line


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (
            {
                "type": "task-received",
                "uuid": "1",
                "name": "proj.add",
                "args": "(2, 3)",
                "eta": None,
                "pid": 7,
            },
            "w@h task-received proj.add[1] args=(2, 3)",
        ),
        ({"type": "task-started", "uuid": "1", "clock": 3}, "w@h task-started proj.add[1]"),
        ({"type": "task-started", "uuid": "2"}, "w@h task-started 2"),
        ({"type": "worker-x", "loadavg": [1, 2]}, "w@h worker-x loadavg=[1, 2]"),
        ({"type": "task-failed", "uuid": "2", "traceback": "a\nb\n"}, "w@h task-failed 2 traceback=a …"),
    ],
)
def test_a_line_knows_the_name_of_its_task(event: dict[str, Any], shown: str) -> None:
    names = Names()
    names.of({"uuid": "1", "name": "proj.add"})
    text = line({"hostname": "w@h", "timestamp": 1_700_000_000.25, **event}, names)
    assert text.endswith(shown)
    assert ".250 " in text


def test_nonsense_is_shown_too() -> None:
    assert line({"type": 7, "timestamp": "soon"}, Names()) == "? ? 7"


def test_the_memory_of_names_is_bounded() -> None:
    names = Names()
    for number in range(MOST_NAMES + 1):
        names.of({"uuid": str(number), "name": "n"})
    assert names.of({"uuid": "0"}) == "0"
