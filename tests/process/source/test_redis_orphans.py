"""The work of nodes that have died: given back by those who live, once, and never that of the living."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope, ids_of
from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from workerd.source.redis import envelopes
from workerd.source.redis.keys import Keys

LEASE = 0.6


def push(client: redis.Redis, count: int, queue: str = "q", priority: int = 0) -> list[str]:
    ids = [f"{queue}{priority}{n:03}" for n in range(count)]
    name = Keys().list_for(queue, priority)
    client.lpush(name, *(envelope(task_id, queue, priority) for task_id in ids))
    return ids


def die(node: Node) -> None:
    """Its link goes, and with it all that renews the lease."""
    node.source.close()


def until(fact: Callable[[], object], *nodes: Node, within: float = 20.0) -> None:
    """Turn all of ``nodes`` until ``fact()``."""

    def turned() -> object:
        for node in nodes:
            node.turn()
        return fact()

    eventually(turned, within=within, every=0.0)


@pytest.fixture
def dead(node: MakeNode, redis_url: str, client: redis.Redis) -> Node:
    """A node that has died with all of its five messages in flight."""
    push(client, 5)
    dead = node(redis_url, "dead:1", lease=LEASE).start()
    dead.fetch(5)
    die(dead)
    return dead


def test_the_work_of_a_dead_node_returns_to_the_heads_of_its_lists(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelopes, "BATCH", 30)
    ids = {(q, p): push(client, 40, q, p) for q in ("q", "r") for p in (0, 6)}
    client.lpush("r", b"no json")
    dead = node(redis_url, "dead[x]:1", lease=LEASE).start("q", "r")
    dead.fetch(161)
    later = {at: push(client, 1, *at) for at in ids}
    ours = node(redis_url, "host:1", lease=LEASE).start("others")
    die(dead)
    until(lambda: not client.exists("unacked"), ours)
    assert not client.exists("unacked_index")
    assert client.lpop("r", 1) is not None  # what was sent meanwhile is behind
    for (queue, priority), expected in ids.items():
        raws = client.lrange(Keys().list_for(queue, priority), 0, -1)
        if b"no json" in raws:
            raws.remove(b"no json")
        found = ids_of(raws)
        assert found == expected + (later[queue, priority] if (queue, priority) != ("r", 0) else [])
    until(lambda: client.smembers("workerd:owners") == {b"host:1"}, ours)
    taker = node(redis_url, "host:2").start("r")
    assert all(delivery.redelivered for delivery in taker.fetch(40) if delivery.message is not None)


def test_several_nodes_that_give_back_at_once_double_nothing(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    nodes = [node(redis_url, f"host:{n}", lease=LEASE).start("others") for n in range(3)]
    until(lambda: not client.exists("workerd:lease:dead:1"), *nodes)
    for ours in nodes:
        ours.source._others.orphans.inherit("dead:1")  # type: ignore[attr-defined]
    until(lambda: not any(ours.source._others.orphans.pending for ours in nodes), *nodes)  # type: ignore[attr-defined]
    assert Counter(ids_of(client.lrange("q", 0, -1))) == Counter(f"q0{n:03}" for n in range(5))
    assert not client.exists("unacked", "unacked_index")


def test_a_node_that_lives_keeps_its_work_while_that_of_a_dead_one_is_given_back(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    living = node(redis_url, "living:1", lease=LEASE).start("r")
    push(client, 3, "r")
    held = living.fetch(3)
    ours = node(redis_url, "host:1", lease=LEASE).start("others")
    until(lambda: client.llen("q") == 5, ours, living)
    assert {tag.decode() for tag in client.hkeys("unacked")} == {delivery.tag for delivery in held}
    assert not living.gone


def test_an_owner_whose_lease_has_come_back_keeps_everything(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url, "host:1", lease=LEASE).start("others")
    client.set("workerd:lease:dead:1", "x")
    ours.source._others.orphans.inherit("dead:1")  # type: ignore[attr-defined]
    until(lambda: not ours.source._others.orphans.pending, ours)  # type: ignore[attr-defined]
    assert client.hlen("unacked") == 5
    assert b"dead:1" in client.smembers("workerd:owners")


def test_an_owner_that_is_in_no_list_is_found_by_its_tags(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.delete("workerd:owners", "workerd:lease:dead:1")
    ours = node(redis_url, "host:1", lease=LEASE).start("others")
    until(lambda: client.llen("q") == 5, ours)


def test_a_dead_owner_with_nothing_in_flight_is_forgotten(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.sadd("workerd:owners", "never:1")
    ours = node(redis_url, "host:1", lease=LEASE).start()
    until(lambda: client.smembers("workerd:owners") == {b"host:1"}, ours)


def test_an_idle_node_runs_what_it_has_given_back_itself(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url, "host:1", lease=LEASE).start()
    ours.source.fetch(GROUP, 5)
    until(lambda: len(ours.got) == 5, ours)
    assert not ours.lost


def test_a_list_that_is_none_costs_neither_the_link_nor_the_message(
    node: MakeNode, redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    push(client, 2)
    push(client, 2, "r")
    for owner, queue in (("dead:1", "q"), ("dead:2", "r")):
        dead = node(redis_url, owner, lease=LEASE).start(queue)
        dead.fetch(2)
        die(dead)
    client.set("q", "not a list")
    ours = node(redis_url, "host:1", lease=LEASE).start("others")
    until(lambda: "cannot be given back" in caplog.text and client.llen("r") == 2, ours)
    assert not ours.lost
    assert client.hlen("unacked") == 2


def silence(*nodes: Node, leases: float = 3.0) -> None:
    """So much time passes for everyone."""
    end = time.monotonic() + leases * LEASE
    until(lambda: time.monotonic() > end, *nodes)


@contextmanager
def outage(server: RedisServer) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def freeze(server: RedisServer) -> Iterator[None]:
    server.pause()
    yield
    server.resume()


def living(node: MakeNode, url: str, client: redis.Redis) -> list[Node]:
    """Three nodes with a message each."""
    nodes = []
    for n in range(3):
        push(client, 1, f"own{n}")
        nodes.append(node(url, f"host:{n}", lease=LEASE).start(f"own{n}"))
        nodes[-1].fetch(1)
    return nodes


def untouched(client: redis.Redis, nodes: list[Node]) -> bool:
    held = {delivery.tag for ours in nodes for delivery in ours.got}
    return {tag.decode() for tag in client.hkeys("unacked")} == held


def test_an_outage_of_three_leases_makes_no_living_node_an_orphan(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    old = living(node, redis_url, client)
    with outage(redis_server):
        until(lambda: all(ours.lost for ours in old), *old)
        silence()
    assert not client.exists(*(f"workerd:lease:host:{n}" for n in range(3)))
    nodes = []
    for n, before in enumerate(old):
        before.source.close()
        nodes.append(node(redis_url, f"host:{n}", lease=LEASE))
        nodes[-1].known, nodes[-1].got = {d.tag for d in before.got}, before.got
        nodes[-1].start(f"own{n}")
    # The node that died before it is the measure of how long the others were watched.
    until(lambda: client.llen("q") == 5, *nodes)
    assert untouched(client, nodes)


def test_a_broker_that_hung_for_three_leases_makes_no_living_node_an_orphan(
    dead: Node, node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    nodes = living(node, redis_url, client)
    with freeze(redis_server):
        silence(*nodes)
    until(lambda: client.llen("q") == 5, *nodes)
    assert not any(ours.lost for ours in nodes)
    assert untouched(client, nodes)


def test_a_watcher_that_was_stopped_itself_begins_anew(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, 1)
    other = node(redis_url, "other:1", lease=LEASE).start()
    [held] = other.fetch(1)
    watcher = node(redis_url, "host:1", lease=LEASE).start("others")
    until(lambda: "other:1" in watcher.source._others.watch._known, watcher, other)  # type: ignore[attr-defined]
    client.delete("workerd:lease:other:1")
    until(lambda: watcher.source._others.watch._silences._since, watcher)  # type: ignore[attr-defined]
    silence(other)  # the watcher does nothing meanwhile
    assert client.exists("workerd:lease:other:1")
    client.delete("workerd:lease:other:1")
    watcher.source._others.watch.look()  # type: ignore[attr-defined]
    watcher.until(lambda: not watcher.source._others.watch._looking)  # type: ignore[attr-defined]
    assert not watcher.source._others.orphans.pending  # type: ignore[attr-defined]
    assert client.hexists("unacked", held.tag)
