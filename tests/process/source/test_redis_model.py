"""Random histories of a Redis source against a model that is a few dictionaries.

The model says where each message is: waiting, held by the consumer or by a neighbour, parked,
finished, or dead.
Whatever happens to links, incarnations and neighbours, each message is in exactly one of these places, and
the server agrees.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.process.source.node import GROUP, Node, envelope, letter
from tests.support.brokers import RedisServer
from workerd.source import Delivery
from workerd.source.redis.delayed import split_delayed
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import FETCH

QUEUES = ("q", "r")
PRIORITIES = (0, 3, 5, 9)
LATE = time.time() + 86400


@dataclass
class Neighbour:
    """Another node, and what it holds."""

    node: Node
    held: list[Delivery]


class History(RuleBasedStateMachine):
    """Each rule ends when the server has confirmed it."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        self.waiting: list[str] = []
        self.held: dict[str, Delivery] = {}
        self.parked: list[str] = []
        self.finished: list[str] = []
        self.dead: list[str] = []
        self.published = 0
        self.incarnation = 1
        self.node = self.open()
        self.neighbours: dict[str, Neighbour] = {}
        self.met = 0

    def open(self, predecessors: tuple[str, ...] = ()) -> Node:
        node = Node(self.server.url, f"host:{self.incarnation}", predecessors=predecessors)
        node.known = {delivery.tag for delivery in self.held.values()}
        return node.start(*QUEUES)

    def some(self, count: int) -> list[Delivery]:
        return list(self.held.values())[:count]

    def move(self, deliveries: list[Delivery], place: list[str]) -> None:
        for delivery in deliveries:
            assert delivery.message is not None
            del self.held[delivery.message.id]
            place.append(delivery.message.id)

    @rule(queue=st.sampled_from(QUEUES), priority=st.sampled_from(PRIORITIES), count=st.integers(1, 4))
    def publish(self, queue: str, priority: int, count: int) -> None:
        for _ in range(count):
            task_id = f"t{self.published}"
            self.published += 1
            self.client.lpush(Keys().list_for(queue, priority), envelope(task_id, queue, priority, LATE))
            self.waiting.append(task_id)

    @precondition(lambda self: self.waiting)
    @rule(room=st.integers(1, 6))
    def fetch(self, room: int) -> None:
        for delivery in self.node.fetch(min(room, len(self.waiting))):
            assert delivery.message is not None
            self.waiting.remove(delivery.message.id)
            self.held[delivery.message.id] = delivery

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 4))
    def settle(self, count: int) -> None:
        done = self.some(count)
        self.node.confirmed(self.node.source.settle, done)
        self.move(done, self.finished)

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 4))
    def give_back(self, count: int) -> None:
        back = self.some(count)
        self.node.confirmed(self.node.source.give_back, back)
        self.move(back, self.waiting)

    @precondition(lambda self: self.held)
    @rule()
    def put_aside(self) -> None:
        [delivery] = self.some(1)
        self.node.confirmed(self.node.source.put_aside, delivery, letter("the model says so"))
        self.move([delivery], self.dead)

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 4))
    def park(self, count: int) -> None:
        parked = self.some(count)
        self.node.park(*parked)
        self.move(parked, self.parked)

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def some_are_due(self, data: st.DataObject) -> None:
        entries = self.client.zrange(Keys().delayed, 0, -1)
        due = data.draw(st.integers(1, len(entries)))
        self.client.zadd(Keys().delayed, dict.fromkeys(entries[:due], 1.0))
        ids = [task_id_of(split_delayed(entry)[1]) for entry in entries[:due]]
        nodes = [self.node, *(neighbour.node for neighbour in self.neighbours.values())]
        for node in nodes:
            node.source._delayed.ask()  # type: ignore[attr-defined]
            node.turn()
        self.node.until(lambda: self.client.zcard(Keys().delayed) == len(entries) - due)
        for task_id in ids:
            self.parked.remove(task_id)
            self.waiting.append(task_id)

    @rule()
    def lose_the_link(self) -> None:
        self.server.drop_clients()
        self.node.until(lambda: self.node.lost)
        self.node.close()
        self.node = self.open()
        for owner, neighbour in self.neighbours.items():
            neighbour.node.until(lambda neighbour=neighbour: neighbour.node.lost)  # type: ignore[misc]
            neighbour.node.close()
            neighbour.node = Node(self.server.url, owner)
            neighbour.node.known = {delivery.tag for delivery in neighbour.held}
            neighbour.node.start(*QUEUES)

    @precondition(lambda self: self.waiting)
    @rule()
    def lose_the_link_with_a_reply_on_its_way(self) -> None:
        taken = min(3, len(self.waiting))
        before = self.client.hlen("unacked")
        self.client.script_load(FETCH.text)  # or the answer that is not read would be NOSCRIPT
        self.node.scope.remove_reader(self.node.source._link._sock.fileno())  # type: ignore[attr-defined]
        self.node.source.fetch(GROUP, taken)
        self.node.until(lambda: self.client.hlen("unacked") == before + taken)
        self.node.close()
        self.node = self.open()
        self.node.until(lambda: len(self.node.got) == taken)
        for delivery in self.node.got:
            assert delivery.message is not None
            self.waiting.remove(delivery.message.id)
            self.held[delivery.message.id] = delivery

    @rule()
    def die_and_be_born_again(self) -> None:
        self.node.close()
        dead = f"host:{self.incarnation}"
        self.incarnation += 1
        self.waiting += self.held
        self.held.clear()
        self.node = self.open(predecessors=(dead,))

    @precondition(lambda self: self.waiting)
    @rule(room=st.integers(1, 4))
    def a_neighbour_fetches(self, room: int) -> None:
        self.met += 1
        owner = f"neighbour:{self.met}"
        node = Node(self.server.url, owner).start(*QUEUES)
        self.neighbours[owner] = Neighbour(node, node.fetch(min(room, len(self.waiting))))
        node.source.fetch(GROUP, 0)
        for task_id in node.ids:
            self.waiting.remove(task_id)

    @precondition(lambda self: self.neighbours)
    @rule()
    def a_neighbour_settles(self) -> None:
        neighbour = next(iter(self.neighbours.values()))
        neighbour.node.confirmed(neighbour.node.source.settle, neighbour.held)
        self.finished += ids_of(neighbour.held)
        neighbour.held = []

    @precondition(lambda self: self.neighbours)
    @rule()
    def a_neighbour_that_lives_is_taken_for_dead(self) -> None:
        self.inherit(next(iter(self.neighbours)))

    @precondition(lambda self: self.neighbours)
    @rule(at_once=st.booleans())
    def a_neighbour_dies(self, at_once: bool) -> None:
        owner, neighbour = self.neighbours.popitem()
        neighbour.node.source.close()
        self.client.delete(Keys().lease(owner))
        if at_once:
            other = Node(self.server.url, "other:1").start("others")
            self.inherit(owner, self.node, other)
            other.close()
        else:
            self.inherit(owner)
        neighbour.node.close()
        self.waiting += ids_of(neighbour.held)

    @precondition(lambda self: self.neighbours)
    @rule(end=st.sampled_from(["settle", "give_back", "put_aside", "park"]))
    def a_neighbour_was_silent_and_says_its_late_word(self, end: str) -> None:
        owner, neighbour = self.neighbours.popitem()
        self.client.delete(Keys().lease(owner))
        self.inherit(owner)
        self.waiting += ids_of(neighbour.held)
        for delivery in neighbour.held:
            if end == "park":
                neighbour.node.source.park(delivery, lambda: None, lambda: None)
            elif end == "put_aside":
                neighbour.node.source.put_aside(delivery, letter("late"))
            else:
                getattr(neighbour.node.source, end)([delivery])
        neighbour.node.rest()
        assert set(neighbour.node.gone) == {delivery.tag for delivery in neighbour.held}
        neighbour.node.close()

    def inherit(self, owner: str, *nodes: Node) -> None:
        takers = nodes or (self.node,)
        for node in takers:
            node.source._others.orphans.inherit(owner)  # type: ignore[attr-defined]
        for node in takers:
            node.until(lambda node=node: not node.source._others.orphans.pending)  # type: ignore[misc]

    @rule()
    def flush_scripts(self) -> None:
        self.client.script_flush()

    @invariant()
    def the_server_agrees(self) -> None:
        lists = [key for key in self.client.scan_iter(_type="LIST") if not key.endswith(b".dead")]
        waiting = [raw for key in lists for raw in self.client.lrange(key, 0, -1)]
        assert Counter(map(task_id_of, waiting)) == Counter(self.waiting)
        in_flight = self.client.hgetall("unacked")
        held = [*self.held.values(), *(d for each in self.neighbours.values() for d in each.held)]
        assert {tag.decode() for tag in in_flight} == {delivery.tag for delivery in held}
        assert set(self.client.zrange("unacked_index", 0, -1)) == set(in_flight)
        delayed = [split_delayed(entry) for entry in self.client.zrange(Keys().delayed, 0, -1)]
        assert Counter(task_id_of(raw) for _, raw in delayed) == Counter(self.parked)
        dead = [
            json.loads(entry)["raw"]
            for queue in QUEUES
            for entry in self.client.lrange(f"{queue}.dead", 0, -1)
        ]
        assert Counter(task_id_of(base64.b64decode(raw)) for raw in dead) == Counter(self.dead)
        total = sum(map(len, (self.waiting, held, self.parked, self.finished, self.dead)))
        assert total == self.published

    def teardown(self) -> None:
        for neighbour in self.neighbours.values():
            neighbour.node.close()
        self.node.close()
        self.client.close()


def ids_of(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries if delivery.message is not None]


def task_id_of(raw: bytes) -> str:
    return str(json.loads(raw)["headers"]["id"])


@pytest.mark.usefixtures("redis_url")
def test_every_message_is_in_exactly_one_place(redis_server: RedisServer, rounds: int) -> None:
    class Run(History):
        server = redis_server

    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Run, settings=settings(max_examples=25 * rounds, stateful_step_count=30, suppress_health_check=slow)
    )
