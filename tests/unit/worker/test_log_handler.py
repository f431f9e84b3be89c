"""The line of a task that went well takes a short way into the log, and nobody can tell."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from workerd.app.running.logs import FORMAT
from workerd.delivery.narrator import Narrator
from workerd.delivery.outcome import Outcome
from workerd.worker.log.handler import TASKS, Handler
from workerd.worker.log.logstream import LogStream
from workerd.worker.log.text import TextFormatter


@dataclass
class Log:
    """The daemon's log over a pipe; ``tick`` is the end of a turn of its loop."""

    handler: Handler
    reader: int
    hub: Any

    def written(self) -> str:
        os.write(self.handler.stream.fileno(), b".")
        return os.read(self.reader, 65536).decode()[:-1]

    def begin(self) -> None:
        """pytest has put handlers of its own beside ours."""
        logging.getLogger().handlers[:] = [self.handler]
        self.tick()

    def tick(self) -> None:
        for callback in list(self.hub.on_tick):
            callback()


@pytest.fixture
def log() -> Iterator[Log]:
    root, task = logging.getLogger(), logging.getLogger(TASKS)
    before, level = root.handlers[:], root.level
    reader, writer = os.pipe()
    log = Log(Handler(LogStream(writer)), reader, SimpleNamespace(on_tick=set()))
    root.setLevel(logging.INFO)
    log.handler.attach(log.hub, lambda held: None)
    yield log
    log.handler.detach(log.hub)
    log.handler.stream.close()
    root.handlers[:] = before
    root.setLevel(level)
    task.handlers.clear(), task.filters.clear()
    task.propagate = True
    os.close(reader), os.close(writer)


def a_request() -> Any:
    message = SimpleNamespace(task="proj.add", id="a", retries=1, argsrepr="(1, 2)", kwargsrepr="{}")
    return SimpleNamespace(
        title="proj.add[a]",
        message=message,
        delivery=SimpleNamespace(queue="celery"),
        pool="default",
        worker_pid=42,
    )


def succeed(log: Log, *, args: bool = False) -> None:
    narrator = Narrator()
    narrator.say, narrator.shows_args = log.handler.say, args
    narrator.ended(a_request(), Outcome(state="SUCCESS", runtime=0.25, repr="3"))


def nothing_said(log: Log) -> None:
    Narrator().ended(a_request(), Outcome(state="SUCCESS", runtime=0.25, repr="3"))


def test_it_is_the_line_that_logging_writes(log: Log) -> None:
    log.begin()
    succeed(log), log.tick()
    short = log.written()
    nothing_said(log)
    long = log.written()
    stamp = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3}: ")
    assert stamp.sub("", short) == stamp.sub("", long)
    assert short.endswith(": INFO/MainProcess] Task proj.add[a] succeeded in 0.250s: 3\n")
    assert stamp.match(short)


def test_lines_come_together_before_the_loop_sleeps_and_in_their_order(log: Log) -> None:
    log.begin()
    succeed(log), succeed(log)
    assert log.written() == ""
    log.tick()
    assert log.written().count("succeeded") == 2
    succeed(log)
    logging.getLogger("other").info("between")
    succeed(log)
    assert [line.rpartition(" ")[2] for line in log.written().splitlines()] == ["3", "between"]
    log.handler.detach(log.hub)
    assert "succeeded" in log.written()


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def hears_on_the_root(log: Log, heard: Heard) -> None:
    logging.getLogger().addHandler(heard)


def hears_on_the_logger(log: Log, heard: Heard) -> None:
    logging.getLogger(TASKS).addHandler(heard)


def filters_the_logger(log: Log, heard: Heard) -> None:
    logging.getLogger(TASKS).addFilter(lambda record: heard.emit(record) is None)


def filters_the_handler(log: Log, heard: Heard) -> None:
    log.handler.addFilter(lambda record: heard.emit(record) is None)


def has_a_format_of_its_own(log: Log, heard: Heard) -> None:
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            heard.emit(record)
            return super().format(record)

    log.handler.setFormatter(Own())


@pytest.mark.parametrize(
    "change",
    [
        hears_on_the_root,
        hears_on_the_logger,
        filters_the_logger,
        filters_the_handler,
        has_a_format_of_its_own,
    ],
)
def test_an_app_that_wants_to_hear_of_tasks_does(log: Log, change: Callable[[Log, Heard], None]) -> None:
    log.begin()
    heard = Heard()
    change(log, heard)
    log.tick()
    succeed(log)
    assert [record.getMessage() for record in heard.records] == ["Task proj.add[a] succeeded in 0.250s: 3"]
    assert "succeeded" in log.written()


@pytest.mark.parametrize("hush", ["level", "propagate", "disabled"])
def test_nothing_is_written_where_nobody_would_hear(log: Log, hush: str) -> None:
    log.begin()
    task = logging.getLogger(TASKS)
    try:
        if hush == "level":
            task.setLevel(logging.WARNING)
        elif hush == "propagate":
            task.propagate = False
        else:
            logging.disable(logging.INFO)
        log.tick()
        succeed(log), log.tick()
        assert log.written() == ""
    finally:
        task.setLevel(logging.NOTSET)
        logging.disable(logging.NOTSET)


def test_the_time_is_written_as_logging_writes_it() -> None:
    ours, theirs = TextFormatter(), logging.Formatter(FORMAT)
    for created in (1_700_000_000.0, 1_700_000_000.0625, 1_700_000_000.9999, 1_700_000_001.5, 1.0):
        record = logging.LogRecord("name", logging.INFO, "", 0, "text", (), None)
        record.created, record.msecs = created, int(created % 1 * 1000)
        assert ours.format(record) == theirs.format(record)


def test_arguments_are_told_only_where_somebody_has_asked_for_them(log: Log) -> None:
    log.begin()
    succeed(log), log.tick()
    assert "(1, 2)" not in log.written()
    succeed(log, args=True), log.tick()
    assert "Task proj.add[a] args=(1, 2) kwargs={} succeeded in 0.250s: 3" in log.written()


def test_a_storm_is_told_fifty_times_and_then_how_often_it_came(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.begin()
    for number in range(150):
        logging.getLogger("redis").error("no link to %d", number)
        logging.getLogger(TASKS).error("Task %d failed", number)
    log.tick()
    text = log.written()
    assert text.count("no link to") == 50
    assert text.count("failed") == 150

    later = time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    log.tick()
    assert log.written().endswith("ERROR/MainProcess] … 100 more like this in 10 s: no link to %d\n")
