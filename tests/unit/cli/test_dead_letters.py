"""Dead letters are found by what a person would type, and shown in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.unit.delivery.fakes import message
from workerd.cli.dead_letters import Room, details, lines, values
from workerd.errors import UsageError, WorkerdError
from workerd.protocol.dead import Letter
from workerd.source.dead_queues import DeadLetter

UUID = "4f2a6c1e-0f0b-4d0e-9a53-6a1ba8c7c0de"


def dead(task_id: str | None, key: str, queue: str = "celery", **fields: Any) -> DeadLetter:
    letter = Letter(**{"reason": "why\nnot", "queue": queue, "time": 90.0, "id": key, "node": "n@h"} | fields)
    return DeadLetter(letter, queue, b"raw", {}, message(task_id) if task_id else None)


class Found:
    """Dead queues in memory."""

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        self.all = letters

    def scan(self, queue: str) -> Iterator[DeadLetter]:
        yield from (one for one in self.all if one.queue == queue)


def room(*letters: DeadLetter) -> Room:
    return Room(Found(letters), ["celery", "mail"])  # type: ignore[arg-type]


@pytest.mark.parametrize("typed", [UUID, "4f2a", "a1b2c3", "a1b2"])
def test_one_is_found_by_its_tasks_id_by_its_own_and_by_the_beginning_of_either(typed: str) -> None:
    wanted = dead(UUID, "a1b2c3")
    assert room(dead("other", "ffff"), wanted, dead(None, "eeee", "mail")).find([typed]) == [wanted]


def test_a_whole_id_is_meant_before_the_beginning_of_another() -> None:
    short, long = dead("task", "k1"), dead("task-2", "k2")
    assert room(long, short).find(["task"]) == [short]


def test_several_are_found_in_the_order_in_which_they_were_typed() -> None:
    first, second = dead("first", "k1"), dead("second", "k2", "mail")
    assert room(first, second).find(["second", "first", "second"]) == [second, first]


def test_what_several_are_called_is_refused_with_the_names_that_tell_them_apart() -> None:
    letters = dead(UUID, "k1"), dead(UUID, "k2", "mail")
    with pytest.raises(UsageError, match=r"2 dead letters.*k1 \(celery\.dead.*k2 \(mail\.dead"):
        room(*letters).find([UUID])
    assert room(*letters).find(["k2"]) == [letters[1]]


@pytest.mark.parametrize("typed", ["nothing", "4f2"])
def test_what_there_is_not_is_told_with_the_places_that_were_looked_into(typed: str) -> None:
    with pytest.raises(WorkerdError, match=rf"'{typed}' in celery\.dead, mail\.dead"):
        room(dead(UUID, "k1")).find([typed])


def test_the_list_names_each_by_what_finds_it() -> None:
    header, *rows = lines([dead("same", "k1"), dead("same", "k2"), dead("own", "k3"), dead(None, "k4")])
    assert header.split() == ["ID", "QUEUE", "TASK", "PUT", "ASIDE", "DEATHS", "REASON"]
    assert [row.split()[0] for row in rows] == ["k1", "k2", "own", "k4"]
    assert all(row.endswith("why not") for row in rows)


def test_a_long_reason_is_cut_in_the_list_and_whole_in_the_details() -> None:
    one = dead("a", "k", reason="x" * 500)
    assert list(lines([one]))[1].endswith(f"{'x' * 99}…")
    assert f"reason     {'x' * 500}" in details(one, 100.0)


def test_the_details_show_the_arguments_of_a_json_body() -> None:
    one = dead("a", "k")
    content = message("a", body=b'[[1, "\xc3\xbc"], {"x": null}, {}]')
    shown = list(details(DeadLetter(one.letter, "celery", b"raw", {"id": "a"}, content), 3690.0))
    assert 'args       [1, "ü"]' in shown
    assert 'kwargs     {"x": null}' in shown
    assert 'headers    {"id": "a"}' in shown
    assert any("(1h ago) by n@h" in line for line in shown)


def test_arguments_that_are_not_json_are_never_unpickled() -> None:
    bomb = message("a", body=b"\x80\x04", argsrepr="(1, 2)", kwargsrepr="{}")
    bomb.content_type = "application/x-python-serialize"
    shown = list(details(DeadLetter(dead("a", "k").letter, "celery", b"raw", {}, bomb), 100.0))
    assert "args       (1, 2)" in shown


def test_plain_values_are_for_programs() -> None:
    assert values(dead(None, "k9")) == {
        "id": "k9",
        "letter": "k9",
        "queue": "celery",
        "origin": "celery",
        "task": None,
        "time": 90.0,
        "node": "n@h",
        "reason": "why\nnot",
        "deaths": 0,
        "bytes": 3,
    }
