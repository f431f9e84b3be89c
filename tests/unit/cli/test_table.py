from __future__ import annotations

from datetime import UTC, datetime

import pytest

from workerd.cli.common import Common
from workerd.cli.table import counted, lines, span

STATUS = {
    "name": "main",
    "node": "main@host",
    "pid": 7,
    "state": "running",
    "uptime": 93784.0,
    "app": "proj",
    "broker": "embedded",
    "link": {"state": "UP", "reason": "", "seconds": 61.0},
    "queues": ["celery", "mail"],
    "tasks": {"succeeded": 3, "failed": 0},
    "pools": [
        {
            "name": "default",
            "generation": 2,
            "lower": 1,
            "upper": 4,
            "wanted": 2,
            "alive": 1,
            "busy": 1,
            "autoscale": {"reason": "est. wait 3.2 s over 1 s with 40 waiting"},
            "degraded": "5 deaths in 60 s",
            "children": [{"slot": 1, "pid": 9, "state": "BUSY", "title": "proj.add[4f2a]", "age": 7.2}],
        }
    ],
}


def test_the_table_tells_what_the_daemon_tells() -> None:
    assert list(lines(STATUS)) == [
        "main@host: running, up 1d 2h, pid 7",
        "  app      proj",
        "  broker   embedded (up for 1m 1s)",
        "  queues   celery, mail",
        "  tasks    3 succeeded",
        "  pool default: 1 alive of 2 wanted (size 1-4), 1 busy, generation 2",
        "    autoscale: est. wait 3.2 s over 1 s with 40 waiting",
        "    DEGRADED: 5 deaths in 60 s",
        "    child 1  pid 9  busy proj.add[4f2a] 7s",
    ]


def test_a_state_database_that_cannot_be_written_is_told() -> None:
    told = "  DEGRADED: the state database cannot be written: database or disk is full"
    assert told in lines(STATUS | {"statedb": "database or disk is full"})
    assert not any("database" in line for line in lines(STATUS | {"statedb": None}))


def test_queues_that_the_broker_took_from_us_are_told() -> None:
    told = list(lines(STATUS | {"cancelled": {"mail": 1, "video": 2}, "refused": {"video": "it is locked"}}))
    assert (
        "  ended    by the broker, and begun again: the consuming of mail (1 time), video (2 times)" in told
    )
    assert "  DEGRADED: queue video is not consumed, trying again: it is locked" in told


def test_of_several_pools_each_shows_its_queues() -> None:
    two = [
        {"name": "default", "queues": ["celery"], "lower": 1, "upper": 1, "alive": 1, "wanted": 1},
        {"name": "video", "queues": ["video", "thumbs"], "lower": 1, "upper": 2, "wanted": 2},
    ]
    assert list(lines(STATUS | {"pools": two}))[-4:] == [
        "  pool default: 1 alive of 1 wanted (size 1), 0 busy, generation 0",
        "    queues celery",
        "  pool video: 0 alive of 2 wanted (size 1-2), 0 busy, generation 0",
        "    queues video, thumbs",
    ]


def test_deaths_are_counted_and_the_last_three_are_shown() -> None:
    last = [
        {
            "at": 1700000000.0 - n,
            "pid": n,
            "cause": "signal",
            "words": "killed by signal 9 (SIGKILL)",
            "task": "",
        }
        for n in range(5)
    ]
    last[0] |= {"words": "hard time limit (5s)", "task": "proj.add[4f2a]"}
    pool = {"name": "default", "deaths": {"counts": {"signal": 4, "hard limit": 1}, "last": last}}
    found = list(lines(STATUS | {"pools": [pool]}))[-4:]
    when = datetime.fromtimestamp(1700000000.0, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert found[0] == "    died: 4 signal, 1 hard limit"
    assert found[1] == f"      {when}  pid 0  hard time limit (5s) proj.add[4f2a]"
    assert found[2].endswith("  pid 1  killed by signal 9 (SIGKILL)")
    assert "pid 2" in found[3]


def test_limits_that_an_operator_has_set_are_shown() -> None:
    limits = {"proj.add": {"soft": 5.0, "hard": None}, "proj.mul": {"hard": 0.5}}
    assert "  limits   proj.add soft 5s, hard none; proj.mul hard 0.5s" in list(
        lines(STATUS | {"limits": limits})
    )


def test_a_lost_link_is_shown_with_its_reason() -> None:
    found = STATUS | {"link": {"state": "down", "reason": "refused", "seconds": 2.0}}
    told = "  DEGRADED: no link to the broker, trying again: refused"

    assert "  broker   embedded (down for 2s)" in list(lines(found))

    assert told in list(lines(found))
    assert told not in list(lines(found | {"state": "draining"}))
    assert told not in list(lines(STATUS | {"link": {"state": "down", "reason": "refused", "seconds": None}}))


def test_of_several_brokers_the_one_that_serves_is_named() -> None:
    link = {"state": "up", "broker": "redis://b", "reason": "", "seconds": 3.0}
    text = "\n".join(lines(STATUS | {"broker": "redis://a, redis://b", "link": link}))
    assert "  broker   redis://a, redis://b (up at redis://b for 3s)" in text


def test_a_stop_is_shown_with_the_time_that_it_has_left() -> None:
    first = next(lines(STATUS | {"state": "draining", "seconds_left": 12.4}))
    assert first == "main@host: draining (12 s left), up 1d 2h, pid 7"
    assert next(lines(STATUS | {"seconds_left": None})) == next(lines(STATUS))


def test_a_backend_that_is_away_while_no_result_waits_for_it_is_shown_as_that() -> None:
    found = STATUS | {"results": {"pending": 0, "problem": "refused"}}
    assert "  DEGRADED: no link to the result backend, trying again: refused" in list(lines(found))


def test_results_that_nobody_takes_are_shown_with_the_reason() -> None:
    found = STATUS | {"results": {"pending": 3, "problem": "refused"}}
    told = "  DEGRADED: 3 results not taken by the result backend, trying again: refused"
    assert told in list(lines(found))
    assert told not in list(lines(STATUS | {"results": {"pending": 3, "problem": ""}}))


def test_what_is_not_told_is_left_out() -> None:
    assert next(iter(lines({"name": "main", "state": "booting", "pid": 7}))) == "main: booting, pid 7"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (61, "1m 1s"), (3600, "1h"), (90061, "1d 1h")])
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_is_typed_after_the_verb_wins() -> None:
    before = Common(app="a", name="b", broker=("c",))

    assert Common(app="z").over(before) == Common(app="z", name="b", broker=("c",))


def test_a_number_agrees_with_its_word() -> None:
    assert [counted(number, "slot") for number in (0, 1, 2)] == ["0 slots", "1 slot", "2 slots"]
