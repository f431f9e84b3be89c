"""The log's stream over real pipes, terminals, sockets and files whose other end does not read."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workerd.worker.log.logstream import ATOMIC, LIMIT, MUCH, LogStream

LINE = "x" * 99 + "\n"


Open = Callable[[int], LogStream]


@pytest.fixture
def opened() -> Iterator[Open]:
    """``opened(fd)``: a LogStream that is closed at the end."""
    logs: list[LogStream] = []

    def make(fd: int) -> LogStream:
        logs.append(LogStream(fd))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


class FakeHub:
    """One writer."""

    def __init__(self) -> None:
        self.writers: dict[int, Callable[[], Any]] = {}
        self.on_tick: set[Callable[[], Any]] = set()

    def add_writer(self, fd: int, callback: Callable[[], Any]) -> None:
        self.writers[fd] = callback

    def remove_writer(self, fd: int) -> None:
        del self.writers[fd]


@pytest.fixture(params=["pipe", "terminal", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """(what reads, what is written to)"""
    if request.param == "pipe":
        reader, writer = os.pipe()
    elif request.param == "terminal":
        reader, writer = pty.openpty()
        attributes = termios.tcgetattr(writer)
        attributes[1] &= ~termios.OPOST  # no \r before \n
        termios.tcsetattr(writer, termios.TCSANOW, attributes)
    else:
        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read(fd: int) -> str:
    """All that is there."""
    parts = []
    while True:
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            return b"".join(parts).decode()
        parts.append(part)


def fill(log: LogStream) -> int:
    """Write until nothing is taken; how many lines that took."""
    count = 0
    while not log.blocked:
        log.write(LINE)
        log.flush()
        count += 1
    return count


def test_what_is_not_taken_waits_and_comes_in_order(ends: tuple[int, int], opened: Open) -> None:
    reader, writer = ends
    log, hub, held = opened(writer), FakeHub(), []
    log.attach(hub, held.append)  # type: ignore[arg-type]
    count = fill(log)
    assert held == [True]
    log.write("last\n"), log.flush()
    text = read(reader)
    while hub.writers:
        for callback in list(hub.writers.values()):
            callback()
        text += read(reader)
    assert text == LINE * count + "last\n"
    assert held == [True, False]


def test_the_flags_of_the_shared_file_are_left_alone(ends: tuple[int, int], opened: Open) -> None:
    _, writer = ends
    before = fcntl.fcntl(writer, fcntl.F_GETFL)
    fill(opened(writer))
    assert fcntl.fcntl(writer, fcntl.F_GETFL) == before
    assert os.get_blocking(writer)


def test_lines_over_the_limit_are_dropped_and_counted(ends: tuple[int, int], opened: Open) -> None:
    reader, writer = ends
    log = opened(writer)
    written = fill(log)
    for _ in range(2 * LIMIT // len(LINE)):
        log.write(LINE)
        written += 1
    text = ""
    while log.blocked:
        text += read(reader)
        log.flush()
    text += read(reader)
    kept = text.count(LINE)
    assert LIMIT // len(LINE) <= kept < written
    assert text.endswith(f"[{written - kept} log lines were dropped while the log took none]\n")


def test_the_hub_is_asked_only_while_something_waits(ends: tuple[int, int], opened: Open) -> None:
    reader, writer = ends
    log, hub = opened(writer), FakeHub()
    fill(log)  # before there is a hub, as in a boot
    log.attach(hub, lambda held: None)  # type: ignore[arg-type]
    assert len(hub.writers) == 1
    log.detach()
    assert not hub.writers
    read(reader)
    log.settle()
    assert not log.blocked


def test_an_end_does_not_wait_long_for_who_does_not_read(opened: Open) -> None:
    reader, writer = os.pipe()
    log = opened(writer)
    fill(log)
    log.settle(within=0.01)
    assert log.blocked
    os.close(reader)
    os.close(writer)


def test_a_reader_that_is_gone_is_given_up(opened: Open) -> None:
    reader, writer = os.pipe()
    log = opened(writer)
    fill(log)
    os.close(reader)
    log.write(LINE), log.flush()
    assert not log.blocked
    os.close(writer)


def test_a_pipe_that_cannot_be_opened_anew_is_written_with_care(opened: Open) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = opened(writer)  # nobody reads: it cannot be opened
    log.write(LINE), log.flush()
    assert not log.blocked
    os.close(writer)


def test_a_file_is_appended_to(tmp_path: Path, opened: Open) -> None:
    with (tmp_path / "log").open("ab") as file:
        log = opened(file.fileno())
        log.write("käse\ud800\n"), log.flush()
        os.write(file.fileno(), b"other\n")
        log.write("more\n"), log.flush()
    assert (tmp_path / "log").read_text() == "käse\\ud800\nother\nmore\n"


def test_a_full_disk_loses_lines_and_nothing_else(opened: Open) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    log = opened(fd)
    log.write(LINE), log.flush()
    assert not log.blocked
    os.close(fd)


def test_lines_that_wait_go_out_in_writes_that_cannot_be_cut(
    ends: tuple[int, int], opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = ends
    log, sent, text = opened(writer), [], ""
    send = log._send
    monkeypatch.setattr(log, "_send", lambda data: (sent.append(len(data)), send(data))[1])
    for _ in range(100):
        log.write(LINE)
    log.write("y" * (2 * ATOMIC) + "\n")
    log.write("last\n")
    log.flush()
    while log.blocked:
        text += read(reader)
        log.flush()
    text += read(reader)
    assert text == LINE * 100 + "y" * (2 * ATOMIC) + "\nlast\n"
    assert sent[:3] == [40 * len(LINE), 40 * len(LINE), 20 * len(LINE)]


def test_much_does_not_wait_for_the_end_of_the_turn(tmp_path: Path, opened: Open) -> None:
    with (tmp_path / "log").open("ab") as file:
        log = opened(file.fileno())
        log.attach(FakeHub(), lambda held: None)  # type: ignore[arg-type]
        for _ in range(MUCH // len(LINE)):
            log.write(LINE), log.flush_later()
        assert not (tmp_path / "log").read_bytes()
        log.write(LINE), log.flush_later()
        assert (tmp_path / "log").stat().st_size > MUCH
