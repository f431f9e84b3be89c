"""Elections: all nodes elect the same one, once, in whatever order they hear of each other."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.protocol.wire_vectors import vector
from workerd.clock import LogicalClock
from workerd.events.election import MOST, Elections


class Timers:
    """``call_later`` that is fired by hand."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def __call__(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        entry = Entry(lambda: callback(*args))
        self.entries.append(entry)
        return entry

    def fire(self) -> None:
        for entry in self.entries:
            entry.fire()


class Entry:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None

    def fire(self) -> None:
        call, self.call = self.call, None
        if call is not None:
            call()


class Node:
    """One voter; what it sends goes to everybody, itself too, in its order."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name, self.cluster, self.clock = name, cluster, LogicalClock()
        self.timers, self.won = Timers(), list[tuple[str, Any]]()
        self.acks = 0
        self.inbox: dict[str, deque[dict[str, Any]]] = {}
        self.elections = Elections(f"{name}.1", self.send, lambda: set(cluster.alive), self._win)
        self.elections.start(self.timers)

    def _win(self, topic: str, action: Any) -> None:
        self.won.append((topic, action))

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        event = {"type": kind, "hostname": self.name, "pid": 1, "clock": self.clock.forward(), **fields}
        for node in self.cluster.nodes:
            node.inbox.setdefault(self.name, deque()).append(event)

    def hear(self, sender: str) -> None:
        event = self.inbox[sender].popleft()
        self.clock.adjust(event["clock"])
        if event["type"] == "worker-elect":
            self.elections.heard_vote(event)
        else:
            self.acks += 1


class Cluster:
    def __init__(self, size: int, dead: int = 0) -> None:
        self.alive = [f"n{number}@h" for number in range(size + dead)]
        self.nodes: list[Node] = []
        self.nodes += [Node(name, self) for name in self.alive[:size]]

    def run(self, rng: random.Random) -> None:
        while waiting := [(node, sender) for node in self.nodes for sender, box in node.inbox.items() if box]:
            node, sender = rng.choice(waiting)
            node.hear(sender)

    def winners(self) -> list[str]:
        return [node.name for node in self.nodes for _ in node.won]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("dead", [0, 1])
def test_exactly_one_wins_once(size: int, dead: int, rng: random.Random) -> None:
    for _ in range(20):
        cluster = Cluster(size, dead)
        for node in rng.sample(cluster.nodes, size):
            node.clock.adjust(rng.randrange(5))
            node.elections.stand("e", "task", {"n": 1})
        cluster.run(rng)
        for node in cluster.nodes:
            node.timers.fire()  # whoever is thought alive and is dead is not waited for
        assert len(cluster.winners()) == 1
        [won] = [node.won for node in cluster.nodes if node.won]
        assert won == [("task", {"n": 1})]


def test_every_vote_is_acknowledged_as_celerys_workers_want(rng: random.Random) -> None:
    cluster = Cluster(3)
    for node in cluster.nodes:
        node.elections.stand("e", "t", None)
    cluster.run(rng)
    assert [node.acks for node in cluster.nodes] == [9, 9, 9]


def test_a_vote_that_comes_late_begins_no_second_election(rng: random.Random) -> None:
    cluster = Cluster(2)
    cluster.nodes[0].elections.stand("e", "t", None)
    cluster.run(rng)
    for node in cluster.nodes:
        node.timers.fire()
    assert cluster.winners() == ["n0@h"]
    cluster.nodes[1].send("worker-elect", {"id": "e", "topic": "t", "action": None, "cver": 1})
    cluster.run(rng)
    for node in cluster.nodes:
        node.timers.fire()
    assert cluster.winners() == ["n0@h"]


def test_a_captured_election_is_won_by_the_first_by_clock_and_name() -> None:
    events = vector("gossip-election")["events"]
    won: list[Any] = []
    sent: list[Any] = []
    elections = Elections(
        "worker1@example.com.17988",
        lambda kind, fields: sent.append((kind, fields)),
        lambda: {"worker1@example.com", "worker2@example.com"},
        lambda topic, action: won.append((topic, action)),
    )
    elections.start(Timers())
    for event in events:
        if event["type"] == "worker-elect":
            elections.heard_vote(event)
    assert won == [("task", None)]
    acks = [event for event in events if event["type"] == "worker-elect-ack"]
    assert sent[0] == ("worker-elect-ack", {"id": acks[0]["id"]})


@pytest.mark.parametrize("event", [{}, {"id": "e"}, {"id": "e", "hostname": "h", "clock": "x", "topic": "t"}])
def test_a_vote_that_cannot_be_read_is_told(event: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    node = Node("a@h", Cluster(0))
    node.elections.heard_vote(event)
    assert "cannot be read" in caplog.text


def test_elections_are_bounded_and_end_with_the_link(rng: random.Random) -> None:
    cluster = Cluster(1, dead=1)
    [node] = cluster.nodes
    for number in range(MOST + 5):
        node.elections.stand(str(number), "t", None)
    assert len(node.elections._going) == MOST
    node.elections.stop()
    assert not any(entry.call for entry in node.timers.entries)
    node.elections.stand("none", "t", None)
    assert not node.elections._going
