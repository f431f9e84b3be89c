"""The count of deaths reaches whoever takes work over, though it was in the dead node's memory alone."""

from __future__ import annotations

import json

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import Node, envelope
from workerd.source.redis import inflight, notes

KEY = "workerd:deaths:host:1"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "DELAY", 0.0)


def push(client: redis.Redis, *ids: str) -> None:
    client.lpush("q", *(envelope(task_id) for task_id in ids))


def counts(client: redis.Redis, key: str = KEY) -> dict[str, int]:
    return {tag.decode(): int(count) for tag, count in client.hgetall(key).items()}


def rest(node: Node) -> None:
    node.until(lambda: node.source._notes._timer is None and not node.source._link.busy)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("at_once")
def test_only_what_the_message_does_not_tell_itself_is_written_and_struck_at_its_end(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a", "b", "c")
    ours = node(redis_url).start()
    a, b, c = ours.fetch(3)
    for delivery, deaths in ((a, 1), (b, 0), (c, 1), (c, 2)):
        ours.source.note(delivery, deaths)
    rest(ours)
    assert counts(client) == {a.tag: 1, c.tag: 2}
    assert 0 < client.pttl(KEY) <= inflight.STAY
    ours.source.note(c, 0)
    ours.confirmed(ours.source.settle, [a])
    rest(ours)
    assert counts(client) == {c.tag: 0}
    ours.confirmed(ours.source.settle, [b, c])
    rest(ours)
    assert not client.exists(KEY)


def test_a_run_that_ends_soon_costs_nothing(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    push(client, "a", "b")
    ours = node(redis_url).start()
    before = int(client.info("commandstats").get("cmdstat_hset", {}).get("calls", 0))
    first, second = ours.fetch(2)
    ours.source.note(first, 1)
    ours.source.note(second, 1)
    ours.source.note(second, 0)
    ours.confirmed(ours.source.settle, [first])
    ours.until(lambda: ours.source._notes._timer is None)  # type: ignore[attr-defined]
    ours.confirmed(ours.source.settle, [second])
    stats = client.info("commandstats")
    assert stats["cmdstat_hset"]["calls"] == before + 1  # the fetch
    assert not client.exists(KEY)


def test_what_has_come_again_is_written_before_it_runs(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    message = json.loads(envelope("a"))
    message["headers"] |= {"redelivered": True, "x-workerd-deaths": 1}
    client.lpush("q", json.dumps(message))
    ours = node(redis_url).start()
    [delivery] = ours.fetch(1)
    ours.source.note(delivery, 2)
    assert ours.source._notes._timer is None  # type: ignore[attr-defined]
    ours.until(lambda: counts(client) == {delivery.tag: 2})


@pytest.mark.usefixtures("at_once")
def test_a_node_that_takes_over_counts_what_was_running(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "runs", "waits", "died twice")
    dead = node(redis_url, "host:1", lease=0.5).start()
    runs, _, twice = dead.fetch(3)
    dead.source.note(runs, 1)
    dead.source.note(twice, 2)
    rest(dead)
    dead.source.close()
    ours = node(redis_url, "host:2", lease=0.5).start("others")
    ours.until(lambda: client.llen("q") == 3 and not client.exists(KEY))
    found = [json.loads(raw)["headers"] for raw in reversed(client.lrange("q", 0, -1))]
    assert [(headers["id"], headers.get("x-workerd-deaths")) for headers in found] == [
        ("runs", 1),
        ("waits", None),
        ("died twice", 2),
    ]


@pytest.mark.usefixtures("at_once")
def test_a_new_link_strikes_what_has_ended_and_keeps_the_rest(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a", "b")
    old = node(redis_url).start()
    held = old.fetch(2)
    for delivery in held:
        old.source.note(delivery, 1)
    rest(old)
    old.source.close()
    new = node(redis_url)
    new.known = {held[1].tag}
    new.start()
    rest(new)
    assert counts(client) == {held[1].tag: 1}
    new.confirmed(new.source.settle, held)
    rest(new)
    new.source.close()
    new.until(lambda: not client.exists(KEY))
