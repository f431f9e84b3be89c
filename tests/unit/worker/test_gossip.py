"""Gossip: who is told of nodes that come, go and fall silent."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.delivery.fakes import FakeTimer
from tests.unit.events.fakes import FakeBroadcast, Turns
from workerd import App
from workerd.broadcast import Heard
from workerd.clock import LogicalClock
from workerd.config import Config
from workerd.events import EventDispatcher
from workerd.worker.consumer.gossip import GIVEN_UP, Gossip


class Ear(FakeBroadcast):
    """A broadcast that says what it has heard by hand."""

    hears = True

    def __init__(self) -> None:
        super().__init__()
        self.on_heard: Callable[[Heard], object] | None = None

    def listen(self, station: Any, on_heard: Callable[[Heard], object]) -> Callable[[], None]:
        assert station.key == "worker.#"
        self.on_heard = on_heard
        return lambda: None


class Node:
    """A gossip with all that it needs, and what its callbacks were told."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.timer, self.ear = clock, FakeTimer(), Ear()
        app = App("gossiping")
        events = EventDispatcher("me@h", LogicalClock())
        broadcast: Any = self.ear
        events.enable(broadcast, Turns())
        controller = SimpleNamespace(config=Config(), clock=clock)
        hub = SimpleNamespace(call_later=lambda delay, call, *args: self.timer.call_after(delay, call, args))
        self.consumer: Any = SimpleNamespace(
            controller=controller,
            app=app,
            hostname="me@h",
            event_dispatcher=events,
            broadcast=self.ear,
            timer=self.timer,
            hub=hub,
        )
        self.gossip = Gossip(self.consumer)
        self.told: list[tuple[str, str]] = []
        for name in ("node_join", "node_leave", "node_lost"):
            getattr(self.gossip.on, name).add(self._teller(name))
        self.gossip.start(self.consumer)

    def _teller(self, name: str) -> Callable[[Any], None]:
        return lambda worker: self.told.append((name.removeprefix("node_"), worker.hostname))

    def hear(self, kind: str, host: str = "w@h", **fields: Any) -> None:
        event = {"type": f"worker-{kind}", "hostname": host, "pid": 1, "clock": 3, "freq": 2.0, **fields}
        self.hear_raw(f"worker.{kind.replace('-', '.')}", json.dumps(event).encode())

    def hear_raw(self, key: str, body: bytes) -> None:
        assert self.ear.on_heard is not None
        self.ear.on_heard(Heard(key, body, {}, "application/json", "utf-8"))

    def pass_time(self, seconds: float) -> None:
        """Fire what falls due, each in time."""
        until = self.clock.now() + seconds
        while True:
            due = [entry for entry in self.timer.entries if not entry.cancelled]
            due = [entry for entry in due if self._when(entry) <= until]
            if not due:
                break
            entry = min(due, key=self._when)
            self.clock.advance(max(self._when(entry) - self.clock.now(), 0.0))
            self.timer.entries.remove(entry)
            entry.fire()
        self.clock.advance(until - self.clock.now())

    def _when(self, entry: Any) -> float:
        if not hasattr(entry, "at"):
            entry.at = self.clock.now() + float(entry.secs)
        return float(entry.at)


@pytest.fixture
def node(clock: FakeClock) -> Node:
    return Node(clock)


def test_a_node_that_comes_beats_and_says_that_it_goes(node: Node) -> None:
    node.hear("online")
    node.hear("heartbeat")
    node.hear("heartbeat", "me@h")
    assert [worker.hostname for worker in node.gossip.state.alive_workers()] == ["me@h", "w@h"]
    node.hear("offline")
    node.pass_time(60.0)
    assert node.told == [("join", "w@h"), ("leave", "w@h")]


def test_a_node_that_falls_silent_is_lost_and_later_given_up(node: Node) -> None:
    node.hear("heartbeat")
    node.pass_time(3.9)
    assert node.told == [("join", "w@h")]
    node.pass_time(0.2)
    assert node.told[1:] == [("lost", "w@h")]
    assert len(node.gossip.state.alive_workers()) == 1
    node.pass_time(GIVEN_UP)
    assert node.told[2:] == [("leave", "w@h")]
    node.pass_time(60.0)
    assert len(node.told) == 3


def test_a_lost_node_that_is_heard_of_again_joins_and_is_not_given_up(node: Node) -> None:
    node.hear("heartbeat")
    node.pass_time(5.0)
    for _ in range(10):
        node.hear("heartbeat")
        node.pass_time(1.9)
    assert node.told == [("join", "w@h"), ("lost", "w@h"), ("join", "w@h")]


def test_a_look_that_comes_late_takes_nobody_for_lost(node: Node) -> None:
    node.hear("heartbeat")
    [entry] = node.timer.entries
    node.clock.advance(60.0)  # this process was stopped
    node.timer.entries.remove(entry)
    entry.fire()
    assert node.told == [("join", "w@h")]
    node.pass_time(5.0)
    assert node.told[1:] == [("lost", "w@h")]


def test_nobody_is_lost_while_nothing_can_be_heard(node: Node) -> None:
    node.hear("heartbeat")
    node.ear.hears = False
    node.pass_time(30.0)
    assert node.told == [("join", "w@h")]


def test_a_new_link_gives_everybody_their_time_anew(node: Node) -> None:
    node.hear("heartbeat")
    node.gossip.stop(node.consumer)
    assert all(entry.cancelled for entry in node.timer.entries)
    node.clock.advance(60.0)
    node.hear("heartbeat", "ghost@h")  # over the old link
    node.gossip.start(node.consumer)
    node.pass_time(3.0)
    assert node.told == [("join", "w@h")]


def test_what_a_callback_raises_is_told_and_holds_up_no_other(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(worker: Any) -> None:
        raise ZeroDivisionError("no nodes")

    node.gossip.on.node_join.add(bad)
    node.hear("online")
    assert node.told == [("join", "w@h")]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("worker.heartbeat", b"{"),
        ("worker.heartbeat", b"[]"),
        ("worker.heartbeat", b"{}"),
        ("task.multi", b'[{"type": "task-sent"}]'),
        ("worker.elect", b"{}"),
        ("worker.elect.ack", b'{"id": "e"}'),
    ],
)
def test_nonsense_and_what_is_for_others_changes_nothing(node: Node, key: str, body: bytes) -> None:
    node.hear_raw(key, body)
    assert node.told == []


def test_the_winner_of_an_election_does_what_its_topic_says(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []
    node.gossip.election_handlers["clean-up"] = done.append
    for number, topic in enumerate(("clean-up", "unknown")):
        node.gossip.election(f"e{number}", topic, "/tmp")
        vote = json.loads(node.ear.notices[-1].body)
        assert (node.ear.notices[-1].key, vote["topic"], vote["cver"]) == ("worker.elect", topic, 1)
        node.hear_raw("worker.elect", json.dumps(vote).encode())
        assert node.ear.notices[-1].key == "worker.elect.ack"
    assert done == ["/tmp"]
    assert "'unknown'" in caplog.text
