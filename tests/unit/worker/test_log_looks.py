"""How the log looks, for people, for the journal and for programs."""

from __future__ import annotations

import json
import logging
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from workerd.worker.log.json_lines import JsonLines
from workerd.worker.log.look import is_journal, look, wants_colours
from workerd.worker.log.text import TextFormatter, priority


@pytest.fixture
def terminal() -> Iterator[int]:
    ours, theirs = pty.openpty()
    yield theirs
    os.close(ours), os.close(theirs)


@pytest.fixture
def pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    yield writer
    os.close(reader), os.close(writer)


def a_record(level: int = logging.ERROR, text: str = "lost\nfor good") -> logging.LogRecord:
    return logging.LogRecord("workerd.task", level, "", 0, text, None, None)


def test_colours_are_for_terminals_and_for_whoever_forces_them(terminal: int, pipe: int) -> None:
    assert wants_colours(terminal, {})
    assert not wants_colours(terminal, {"NO_COLOR": "1"})
    assert not wants_colours(terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"})
    assert not wants_colours(terminal, {"TERM": "dumb"})
    assert wants_colours(terminal, {"NO_COLOR": ""})  # as no-color.org says
    assert not wants_colours(pipe, {})
    assert wants_colours(pipe, {"FORCE_COLOR": "1"})
    assert not wants_colours(pipe, {"FORCE_COLOR": "0"})


def test_a_coloured_line_is_the_plain_one_between_colours() -> None:
    plain, coloured = TextFormatter(), TextFormatter(coloured=True)
    record = a_record()
    assert coloured.format(record) == f"\x1b[31m{plain.format(record)}\x1b[0m"
    told = a_record(logging.INFO)
    assert coloured.format(told) == plain.format(told)


def test_the_journal_is_known_by_what_systemd_says_of_it(pipe: int) -> None:
    found = os.fstat(pipe)
    ours = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    assert is_journal(pipe, ours)
    assert not is_journal(pipe, {"JOURNAL_STREAM": "8:1"})
    assert not is_journal(pipe, {})
    assert look("auto", pipe, ours).prefixed
    assert look("json", pipe, ours).prefixed
    assert not look("text", pipe, ours).prefixed
    assert not look("auto", pipe, ours | {"FORCE_COLOR": "1"}).coloured  # type: ignore[union-attr]


def test_each_line_for_the_journal_has_its_priority() -> None:
    lines = TextFormatter(prefixed=True).format(a_record()).splitlines()
    assert [line[:3] for line in lines] == ["<3>", "<3>"]
    levels = (logging.DEBUG, logging.INFO, 25, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [priority(level) for level in levels] == ["<7>", "<6>", "<6>", "<4>", "<3>", "<2>"]


def test_text_is_plain_text_wherever_it_goes(terminal: int) -> None:
    plain = look("text", terminal, {"FORCE_COLOR": "1"})
    assert isinstance(plain, TextFormatter)
    assert not plain.coloured


def test_a_json_line_of_a_task_says_what_where_and_how_it_went() -> None:
    lines = JsonLines()
    lines.place = lambda pool, pid: {"slot": 3, "generation": 2} if (pool, pid) == ("video", 42) else {}
    record = a_record(text="Task proj.add[a] raised unexpected: ValueError()")
    record.data = {"event": "task.failed", "task": "proj.add", "task_id": "a", "pool": "video", "pid": 42}
    text = lines.format(record)
    found = json.loads(text)
    assert "\n" not in text
    assert list(found)[:4] == ["ts", "level", "event", "message"]
    assert found["ts"].endswith("Z")
    del found["ts"]
    assert found == {
        "level": "error",
        "event": "task.failed",
        "message": "Task proj.add[a] raised unexpected: ValueError()",
        "logger": "workerd.task",
        "process": "MainProcess",
        "pid": 42,
        "task": "proj.add",
        "task_id": "a",
        "pool": "video",
        "slot": 3,
        "generation": 2,
    }


def test_a_json_line_takes_what_an_app_gives_as_extra_and_an_exception() -> None:
    try:
        raise ValueError("no\nsuch thing")
    except ValueError:
        record = logging.LogRecord("proj", logging.ERROR, "", 0, "broken: %s", ("é",), sys.exc_info())
    record.customer, record.odd = 7, {(1, 2): object()}
    found = json.loads(JsonLines().format(record))
    assert found["customer"] == 7
    assert found["message"] == "broken: é"
    assert found["error"] == "ValueError: no\nsuch thing"
    assert found["traceback"].startswith("Traceback (most recent call last)")
    assert found["event"] == "log"


def test_what_was_dropped_is_told_in_the_form_of_the_log() -> None:
    told = json.loads(JsonLines().dropped(7))
    assert (told["event"], told["count"]) == ("log.dropped", 7)
    assert TextFormatter(prefixed=True).dropped(7).startswith("<6>[7 log lines were dropped")
