"""The event dispatcher: what is sent when, and what is kept for the next link."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.unit.events.fakes import FakeBroadcast, Turns
from tests.unit.protocol.wire_vectors import vector
from workerd.clock import LogicalClock
from workerd.events import EventDispatcher
from workerd.events.dispatcher import BATCH, MOST_KEPT, TASK


@pytest.fixture
def dispatcher() -> EventDispatcher:
    return EventDispatcher("w@h", LogicalClock())


@pytest.fixture
def broadcast() -> FakeBroadcast:
    return FakeBroadcast()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def link(dispatcher: EventDispatcher, broadcast: Any, turns: Turns) -> None:
    dispatcher.enable(broadcast, turns)


def test_an_event_of_the_worker_goes_at_once_as_celery_sends_it(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    link(dispatcher, broadcast, turns)
    captured = vector("event-worker-heartbeat")
    fields = {key: captured["body"][key] for key in ("freq", "active", "processed", "loadavg")}
    dispatcher.send("worker-heartbeat", **fields, sw_ident="workerd", sw_ver="1", sw_sys="Linux")

    [(key, event)] = broadcast.told()
    assert key == captured["properties"]["delivery_info"]["routing_key"]
    assert list(event) == list(captured["body"])
    assert (event["hostname"], event["pid"], event["clock"]) == ("w@h", os.getpid(), 1)
    assert dict(broadcast.notices[0].headers) == {"hostname": "w@h"}
    assert broadcast.notices[0].delivery_mode == captured["properties"]["delivery_mode"]


def test_events_of_tasks_go_together_when_the_turn_ends(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    link(dispatcher, broadcast, turns)
    dispatcher.add_group(TASK)
    for number in range(BATCH + 1):
        dispatcher.send("task-milestone", number=number)
    assert len(broadcast.notices) == 1  # a message that is full need not wait
    turns.turn()
    assert [(key, len(body)) for key, body in broadcast.told()] == [("task.multi", BATCH), ("task.multi", 1)]
    numbers = [event["number"] for _, body in broadcast.told() for event in body]
    assert numbers == list(range(BATCH + 1))
    turns.turn()
    assert len(broadcast.notices) == 2


def test_no_event_is_lost_in_a_busy_turn(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    link(dispatcher, broadcast, turns)
    dispatcher.add_group(TASK)
    for number in range(3 * MOST_KEPT):
        dispatcher.send("task-milestone", number=number)
    turns.turn()
    numbers = [event["number"] for _, body in broadcast.told() for event in body]
    assert numbers == list(range(3 * MOST_KEPT))


@pytest.mark.parametrize(
    ("groups", "sent"),
    [
        ([], ["worker-x"]),
        (["task"], ["worker-x", "task-x", "billing-x"]),
        (["billing"], ["worker-x", "billing-x"]),
    ],
)
def test_what_is_sent_by_group(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns, groups: list[str], sent: list[str]
) -> None:
    link(dispatcher, broadcast, turns)
    for group in groups:
        assert dispatcher.add_group(group)
        assert not dispatcher.add_group(group)
    for kind in ("worker-x", "task-x", "billing-x"):
        dispatcher.send(kind)
    turns.turn()
    bodies = [body if isinstance(body, list) else [body] for _, body in broadcast.told()]
    assert {event["type"] for body in bodies for event in body} == set(sent)


def test_what_is_added_can_be_taken_away_again(dispatcher: EventDispatcher) -> None:
    changes: list[frozenset[str]] = []
    dispatcher.on_groups = lambda: changes.append(dispatcher.groups)
    dispatcher.add_group(TASK)
    assert dispatcher.discard_group(TASK)
    assert not dispatcher.discard_group(TASK)
    assert changes == [{"worker", "task"}, {"worker"}]


def test_without_a_link_the_last_events_of_tasks_are_kept_and_those_of_the_worker_are_not(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    dispatcher.add_group(TASK)
    dispatcher.send("worker-heartbeat")
    for number in range(MOST_KEPT + 5):
        dispatcher.send("task-x", number=number)
    link(dispatcher, broadcast, turns)
    events = [event for key, body in broadcast.told() if key == "task.multi" for event in body]
    assert [event["number"] for event in events] == list(range(5, MOST_KEPT + 5))
    assert {key for key, _ in broadcast.told()} == {"task.multi"}


def test_the_last_word_over_a_link_is_that_of_those_who_hear_that_it_goes(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    link(dispatcher, broadcast, turns)
    dispatcher.on_disabled.add(lambda: dispatcher.send("worker-offline"))
    dispatcher.disable()
    dispatcher.disable()
    assert [key for key, _ in broadcast.told()] == ["worker.offline"]
    assert not dispatcher.enabled


def test_a_field_that_json_does_not_know_is_told_as_text(
    dispatcher: EventDispatcher, broadcast: FakeBroadcast, turns: Turns
) -> None:
    link(dispatcher, broadcast, turns)
    dispatcher.send("worker-x", odd=object)
    assert broadcast.told()[0][1]["odd"] == "<class 'object'>"


def test_what_a_serializer_cannot_write_is_logged_and_goes_no_further(
    broadcast: FakeBroadcast, turns: Turns, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = EventDispatcher("w@h", LogicalClock(), serializer="msgpack")
    link(dispatcher, broadcast, turns)
    dispatcher.send("worker-x", odd=2**70)
    assert "cannot be written as msgpack" in caplog.text
    assert broadcast.notices == []
