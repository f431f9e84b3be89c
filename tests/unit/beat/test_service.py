"""One beat, its clock moved by hand: what it sends, and what it makes of what it has missed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.beat.fakes import Beats, FakeSeat
from workerd.beat.record import Record
from workerd.schedules import crontab

EVERY = {"ten": {"task": "t", "schedule": 10.0, "args": [1]}}


def at(clock: FakeClock, service: Any, seconds: float) -> float:
    clock.advance(seconds)
    left: float = service.turn()
    return left


@pytest.fixture
def beat(clock: FakeClock) -> Iterator[Beats]:
    with closing(Beats(clock)) as beats:
        yield beats


def test_ticks_are_sent_when_they_are_due_and_do_not_drift(
    beat: Beats, tmp_path: Path, clock: FakeClock
) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    begin = clock.wall()
    assert service.turn() == 2.0  # seen for the first time: its ticks count from now on
    assert at(clock, service, 9.0) == pytest.approx(1.0)
    at(clock, service, 1.5)
    at(clock, service, 10.0)
    assert len(seat.sent) == 2
    assert seat.state.entries["ten"] == Record("every 10 s", begin + 20.0, 2, begin + 20.5)


def test_a_tick_has_the_same_id_whoever_sends_it(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    one, other = FakeSeat(), FakeSeat()
    first, second = beat(tmp_path / "1", one, EVERY), beat(tmp_path / "2", other, EVERY)
    for service in (first, second):
        service.turn()
    clock.advance(10.0)
    for service in (first, second):
        service.turn()
    assert one.ids() == other.ids()
    assert one.sent[0].parcel.headers["periodic_task_name"] == "ten"


def test_what_the_last_leader_has_sent_is_not_sent_again(
    beat: Beats, tmp_path: Path, clock: FakeClock
) -> None:
    seat = FakeSeat()
    first = beat(tmp_path / "1", seat, EVERY)
    first.turn()
    at(clock, first, 10.0)
    heir = FakeSeat(seat.state)
    second = beat(tmp_path / "2", heir, EVERY)
    second.turn()
    assert heir.sent == []
    at(clock, second, 10.0)
    assert len(heir.sent) == 1


def test_a_beat_that_has_lost_its_seat_sends_nothing(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    service.turn()
    seat.ours = False
    at(clock, service, 10.0)
    assert seat.sent == []
    assert not service.leads


@pytest.mark.parametrize(("missed", "sent"), [("run-once", 1), ("skip", 0)])
def test_missed_ticks_run_once_or_not_at_all_and_are_told_in_one_line(
    beat: Beats, missed: Any, sent: int, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    seat = FakeSeat()
    schedule = {"day": {"task": "t", "schedule": 3600.0}}
    first = beat(tmp_path, seat, schedule, missed=missed)
    first.turn()
    seat.fresh = True
    second = beat(tmp_path, seat, schedule, missed=missed)
    with caplog.at_level(logging.WARNING):
        at(clock, second, 5 * 3600.0 + 120.0)
    assert len(seat.sent) == sent
    told = [record.getMessage() for record in caplog.records if "missed" in record.getMessage()]
    ends = "runs once" if sent else "skipped"
    assert told == [f"Beat: day: {5 - sent} missed, the last was due 120 s ago: {ends}"]
    at(clock, second, 3600.0 - 120.0)
    assert len(seat.sent) == sent + 1


def test_an_entry_has_a_policy_of_its_own(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    seat = FakeSeat()
    schedule = {"day": {"task": "t", "schedule": 3600.0, "missed": "skip"}}
    service = beat(tmp_path, seat, schedule)
    service.turn()
    at(clock, service, 7300.0)
    assert seat.sent == []


def test_a_missed_crontab_is_too_old_past_its_deadline(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    seat, hourly = FakeSeat(), {"hourly": {"task": "t", "schedule": crontab(0)}}
    service = beat(tmp_path, seat, hourly, starting_deadline=600.0)
    service.turn()
    hour = datetime.fromtimestamp(clock.wall(), UTC).replace(minute=0, second=0, microsecond=0).timestamp()
    at(clock, service, hour + 7200.0 + 700.0 - clock.wall())
    assert seat.sent == []
    at(clock, service, 3000.0)
    assert len(seat.sent) == 1


def test_a_clock_that_is_put_back_runs_nothing_twice(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    service.turn()
    at(clock, service, 10.0)
    clock.jump(-600.0)
    at(clock, service, 100.0)
    assert len(seat.sent) == 1
    at(clock, service, 510.0)
    assert len(seat.sent) == 2
    clock.jump(-86400.0)  # it was wrong before: the ticks count anew
    service.turn()
    at(clock, service, 10.0)
    assert len(seat.sent) == 3


def test_a_paused_entry_rests_and_goes_on_without_catching_up(
    beat: Beats, tmp_path: Path, clock: FakeClock
) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    service.turn()
    seat.pause("ten", True)
    for _ in range(5):
        at(clock, service, 10.0)
    assert seat.sent == []
    seat.pause("ten", False)
    at(clock, service, 10.0)
    assert len(seat.sent) == 1


def test_the_machine_remembers_what_the_broker_has_lost(
    beat: Beats, tmp_path: Path, clock: FakeClock
) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    service.turn()
    at(clock, service, 10.0)
    empty = FakeSeat()
    again = beat(tmp_path, empty, EVERY)
    again.turn()
    assert again.records["ten"].total == 1
    at(clock, again, 10.0)
    assert empty.state.entries["ten"].total == 2


def test_another_schedule_of_the_same_name_begins_anew(beat: Beats, tmp_path: Path, clock: FakeClock) -> None:
    seat = FakeSeat()
    beat(tmp_path, seat, {"ten": {"task": "t", "schedule": 86400}}).turn()
    service = beat(tmp_path, seat, EVERY)
    at(clock, service, 7200.0)
    assert seat.sent == []
    at(clock, service, 10.0)
    assert len(seat.sent) == 1


def test_a_call_that_cannot_be_sent_is_told_and_the_others_go_on(
    beat: Beats, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    seat = FakeSeat()
    unwritable = {"task": "t", "schedule": 10, "options": {"headers": {"x": object()}}}
    schedule = {"bad": {"task": "t", "schedule": 10, "options": {"quee": "x"}}, "odd": unwritable, **EVERY}
    service = beat(tmp_path, seat, schedule)
    service.turn()
    at(clock, service, 10.0)
    assert len(seat.sent) == 1
    assert "bad cannot be sent: TypeError: a task call has no option 'quee'" in caplog.text
    assert "odd cannot be sent: EncodeError" in caplog.text
    at(clock, service, 5.0)
    assert caplog.text.count("cannot be sent") == 2


def test_a_broker_that_is_away_is_told_once_and_so_is_its_return(
    beat: Beats, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    seat = FakeSeat()
    service = beat(tmp_path, seat, EVERY)
    service.turn()
    seat.away = True
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            at(clock, service, 5.0)
        seat.away = False
        at(clock, service, 1.0)
    assert caplog.text.count("no periodic task is sent, trying again: ") == 1
    assert caplog.text.count("the broker is back") == 1
    assert len(seat.sent) == 1
