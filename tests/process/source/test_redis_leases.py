"""The lease on work in flight: renewed, lost, and what a node that was silent for too long learns then."""

from __future__ import annotations

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope, letter
from tests.support.brokers import RedisServer
from workerd.clock import SystemClock
from workerd.source.redis import inflight

LEASE = "workerd:lease:host:1"


def push(client: redis.Redis, *ids: str) -> None:
    client.lpush("q", *(envelope(task_id) for task_id in ids))


def take(client: redis.Redis, *tags: str) -> None:
    """As another node would."""
    client.hdel("unacked", *tags)
    client.zrem("unacked_index", *tags)


def renew(node: Node) -> None:
    node.source._inflight.renew()  # type: ignore[attr-defined]


def lapse(client: redis.Redis, node: Node) -> None:
    """The lease runs out unseen."""
    client.delete(LEASE)
    node.source._inflight.sure_until = 0.0  # type: ignore[attr-defined]


def test_an_owner_is_known_while_it_lives_and_unknown_when_it_has_left(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url, "host:1", lease=30.0).start()
    assert client.smembers("workerd:owners") == {b"host:1"}
    assert 0 < client.pttl(LEASE) <= 30_000
    assert 0 < client.pttl("workerd:owners") <= inflight.STAY
    ours.source.close()
    ours.until(lambda: not client.exists(LEASE, "workerd:owners"))


def test_who_leaves_with_work_in_flight_keeps_its_lease_to_the_end(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a")
    ours = node(redis_url, "host:1").start()
    ours.fetch(1)
    ours.source.close()
    other = node(redis_url, "host:2").start()
    assert client.exists(LEASE)
    assert client.smembers("workerd:owners") == {b"host:1", b"host:2"}
    assert not other.got


def test_a_held_lease_is_sure_for_its_whole_time(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    asked = SystemClock().boottime()
    ours = node(redis_url, lease=5.0).start()
    assert asked + 5.0 <= ours.source.sure_until <= SystemClock().boottime() + 5.0
    first = ours.source.sure_until
    renew(ours)
    ours.until(lambda: ours.source.sure_until > first)
    assert not ours.gone


@pytest.mark.parametrize("end", ["settle", "give_back", "put_aside"])
def test_an_end_that_comes_too_late_tells_what_is_gone(
    node: MakeNode, redis_url: str, client: redis.Redis, end: str
) -> None:
    push(client, "a", "b", "c")
    ours = node(redis_url).start()
    held = ours.fetch(3)
    ours.source.fetch(GROUP, 0)
    take(client, held[1].tag)
    if end == "put_aside":
        for delivery in held:
            ours.source.put_aside(delivery, letter("late"))
        ours.rest()
    else:
        ours.confirmed(getattr(ours.source, end), held)
    assert ours.gone == [held[1].tag]
    assert not client.exists("unacked", "unacked_index")
    assert client.llen("q") == (2 if end == "give_back" else 0)
    assert client.llen("q.dead") == (2 if end == "put_aside" else 0)


def test_what_is_gone_is_told_before_its_end_counts_as_confirmed(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a")
    ours = node(redis_url).start()
    held = ours.fetch(1)
    take(client, held[0].tag)
    known: list[list[str]] = []
    ours.source.settle(held, lambda: known.append(list(ours.gone)))
    ours.rest()
    assert known == [[held[0].tag]]


def test_a_renewal_after_the_lease_had_run_out_looks_for_everything(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflight, "CHUNK", 2)
    push(client, *"abcde")
    ours = node(redis_url).start()
    held = [delivery.tag for delivery in ours.fetch(5)]
    lapse(client, ours)
    take(client, *held[1:3])
    renew(ours)
    ours.until(lambda: ours.source.sure_until > 0)
    assert sorted(ours.gone) == sorted(held[1:3])
    assert ours.source.info()["in_flight"] == 3


def test_a_lease_that_ran_out_with_nobody_there_to_take_anything_costs_nothing(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a")
    ours = node(redis_url).start()
    held = ours.fetch(1)
    lapse(client, ours)
    renew(ours)
    ours.until(lambda: ours.source.sure_until > 0)
    assert not ours.gone
    ours.confirmed(ours.source.settle, held)
    assert not ours.gone


def test_what_disappears_while_the_lease_is_held_is_noticed_too(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a", "b")
    ours = node(redis_url).start()
    first, second = ours.fetch(2)
    take(client, first.tag)
    renew(ours)
    ours.until(lambda: ours.gone == [first.tag])
    ours.confirmed(ours.source.settle, [second])
    assert ours.gone == [first.tag]


@pytest.mark.parametrize("lapsed", [True, False])
def test_a_new_link_tells_what_was_taken_while_the_lease_had_run_out(
    node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer, lapsed: bool
) -> None:
    push(client, "a", "b")
    ours = node(redis_url, "host:1").start()
    taken, kept = ours.fetch(2)
    redis_server.drop_clients()
    ours.until(lambda: ours.lost)
    take(client, taken.tag)
    if lapsed:
        client.delete(LEASE)
    new = node(redis_url, "host:1")
    new.known = {taken.tag, kept.tag}
    new.start()
    # While it is held nobody takes anything: our own settlement may have arrived over the last link.
    assert new.gone == ([taken.tag] if lapsed else [])
    renew(new)
    new.until(lambda: new.gone == [taken.tag])
    assert new.source.info()["in_flight"] == 1
