"""Events of tasks: fields of captured ones, at the moments in which things happen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from tests.unit.events.fakes import FakeBroadcast, Turns
from tests.unit.protocol.wire_vectors import vector
from workerd.clock import LogicalClock
from workerd.delivery import TaskOptions
from workerd.events import EventDispatcher
from workerd.events.dispatcher import TASK
from workerd.events.tasks import TaskEvents
from workerd_pool import Cause

CAPTURED: dict[str, dict[str, Any]] = vector("event-fields-by-type")["events"]


class Told(Desk):
    """A desk whose events are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.turns, self.broadcast = Turns(), FakeBroadcast()
        events = EventDispatcher("w@h", LogicalClock())
        broadcast: Any = self.broadcast
        events.enable(broadcast, self.turns)
        events.add_group(TASK)
        self.lane.tasks = {**self.lane.tasks, "proj.silent": TaskOptions(send_events=False)}
        self.dispatcher.tell(TaskEvents(events))

    def begin(self, index: int = 0, pid: int = 7) -> None:
        self.dispatcher.runs.on_started(self.pool.jobs[index], pid)

    def events(self) -> list[dict[str, Any]]:
        self.turns.turn()
        return [event for _, body in self.broadcast.told() for event in body]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events()]


@pytest.fixture
def desk() -> Told:
    return Told()


@pytest.mark.parametrize(
    ("header", "kind", "fields"),
    [
        (
            {"state": "SUCCESS", "runtime": 0.5, "repr": "5"},
            "task-succeeded",
            {"result": "5", "runtime": 0.5},
        ),
        (
            {"state": "FAILURE", "repr": "ValueError('x')", "traceback": "T"},
            "task-failed",
            {"exception": "ValueError('x')", "traceback": "T"},
        ),
        (
            {"state": "RETRY", "repr": "Retry in 0s", "cause": "KeyError('again')", "traceback": "T"},
            "task-retried",
            {"exception": "KeyError('again')", "traceback": "T"},
        ),
        ({"state": "REJECTED", "requeue": False}, "task-rejected", {"requeue": False}),
    ],
)
def test_a_run_tells_its_way_and_its_end(
    desk: Told, header: dict[str, Any], kind: str, fields: dict[str, Any]
) -> None:
    desk.take(delivery("t1", message("id-1", argsrepr="(2, 3)", kwargsrepr="{}", root_id="id-1")))
    desk.begin()
    desk.done(header)
    events = desk.events()
    assert [event["type"] for event in events] == ["task-received", "task-started", kind]
    for event in events:
        assert event.keys() == CAPTURED[event["type"]].keys()
        assert event["uuid"] == "id-1"
    assert events[0]["args"] == "(2, 3)"
    assert fields.items() <= events[2].items()


def test_times_are_told_as_text(desk: Told) -> None:
    desk.take(delivery("t1", message(eta=1_700_000_030.0, expires=1_800_000_000.5)))
    [event] = desk.events()
    assert (event["eta"], event["expires"]) == (
        "2023-11-14T22:13:50+00:00",
        "2027-01-15T08:00:00.500000+00:00",
    )


def test_a_terminated_run_tells_which_signal(desk: Told) -> None:
    desk.take(delivery("t1"), delivery("t2"))
    desk.done({"state": "REVOKED"})
    desk.lost(cause=Cause.OPERATOR)
    revoked = [event for event in desk.events() if event["type"] == "task-revoked"]
    assert [(event["terminated"], event["signum"], event["expired"]) for event in revoked] == [
        (True, 15, False),
        (True, 9, False),
    ]


def test_what_does_not_begin_tells_why(desk: Told) -> None:
    desk.dispatcher.revokes.add(["id-r"])
    desk.take(
        delivery("r"),
        delivery("e", message("id-e", expires=1.0)),
        delivery("u", message("id-u", task="nobody")),
    )
    told = {event["uuid"]: event for event in desk.events() if event["type"] != "task-received"}
    assert (told["id-r"]["type"], told["id-r"]["terminated"]) == ("task-revoked", False)
    assert (told["id-e"]["type"], told["id-e"]["expired"]) == ("task-revoked", True)
    assert told["id-u"]["exception"] == "NotRegistered('nobody')"


def test_a_hard_limit_is_one_failure_and_a_death_that_is_forgiven_none(desk: Told) -> None:
    desk.take(delivery("t1"), delivery("t2"))
    desk.lost(hard_limit=2.0)
    desk.lost()
    failed = [event for event in desk.events() if event["type"] == "task-failed"]
    assert [event["exception"] for event in failed] == ["TimeLimitExceeded(2.0)"]


def test_a_tasks_own_event_has_its_id_its_childs_pid_and_whatever_fields_it_likes(desk: Told) -> None:
    desk.take(delivery("t1"))
    desk.begin(pid=4711)
    job = desk.pool.jobs[0]
    desk.dispatcher.runs.on_progress(job, {"event": "task-milestone"}, b'{"percent": 50, "type": "odd"}')
    desk.dispatcher.runs.on_progress(job, {"event": "task-nothing"}, b"\xff")
    own, nothing = desk.events()[2:]
    assert (own["type"], own["uuid"], own["pid"], own["percent"]) == ("task-milestone", "id-t1", 4711, 50)
    assert nothing["type"] == "task-nothing"
    assert desk.results.stored == []


def test_a_task_may_be_silent(desk: Told) -> None:
    desk.take(delivery("t1", message(task="proj.silent")))
    desk.begin()
    desk.done()
    assert desk.kinds() == []


def test_nothing_is_told_while_nobody_wants_to_know(desk: Told) -> None:
    desk.dispatcher.tell(None)
    desk.take(delivery("t1"), delivery("t2", message(expires=1.0)))
    desk.begin()
    desk.dispatcher.runs.on_progress(desk.pool.jobs[0], {"event": "task-milestone"}, b"{}")
    desk.done()
    assert desk.kinds() == []
