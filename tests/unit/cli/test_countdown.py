"""What ``workerd stop`` shows while it waits."""

from __future__ import annotations

import io
import sys

import pytest

from tests.support.clock import FakeClock
from workerd.cli.countdown import Countdown, shortened


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def draining(left: float, *titles: str, event: str = "draining", unsettled: int = 0) -> dict[str, object]:
    return {"event": event, "waiting_for": list(titles), "seconds_left": left, "unsettled": unsettled}


def test_without_a_terminal_a_line_comes_every_few_seconds_and_at_each_new_state(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    countdown = Countdown(clock.now)
    for second in range(12):
        countdown.tell(draining(600.0 - second, "proj.add[4f2a]"))
        clock.advance(1.0)
    countdown.tell(draining(5.0, "proj.add[4f2a]", event="stopping"))
    countdown.tell(draining(4.0, "proj.add[4f2a]", event="stopping"))
    countdown.end()

    assert capsys.readouterr().out.splitlines() == [
        "draining: waiting for proj.add[4f2a] (600 s left)",
        "draining: waiting for proj.add[4f2a] (595 s left)",
        "draining: waiting for proj.add[4f2a] (590 s left)",
        "stopping: waiting for proj.add[4f2a] (5 s left)",
    ]


def test_on_a_terminal_one_line_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    countdown = Countdown()
    countdown.tell({"event": "stopping", "pid": 812})
    for left in (3, 2, 1):
        countdown.tell(draining(left, "proj.add[4f2a]", "proj.a_task_with_a_very_long_name[9c11]"))
    countdown.end()
    countdown.end()

    first, *lines, last = terminal.getvalue().split("\r\x1b[2K")
    assert first == "stopping pid 812\n"
    assert [line[-11:] for line in lines] == [" (3 s left)", " (2 s left)"]
    assert last == "draining: waiting for proj.add[4f2a], proj.a_ta… (1 s left)\n"
    assert len(last) == 60


def test_what_only_waits_for_the_broker_is_said(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    countdown = Countdown(clock.now)
    countdown.tell(draining(9.0))
    countdown.tell(draining(9.0, unsettled=3))
    countdown.tell({"event": "ready"})

    assert capsys.readouterr().out == "draining: settling the last results (9 s left)\n"


def test_a_short_text_stays_as_it_is() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert shortened("abcd", -5) == "…"
