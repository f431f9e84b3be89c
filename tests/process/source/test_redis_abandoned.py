"""What Celery's workers held when they died: given back after the visibility timeout, as kombu would."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection, Exchange, Queue

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope, ids_of
from workerd.source.redis import abandoned
from workerd.source.redis.keys import Keys

TIMEOUT = 100.0
OLD = TIMEOUT + 10.0


@pytest.fixture
def stock(redis_url: str) -> Iterator[Connection]:
    with Connection(redis_url, transport_options={"visibility_timeout": TIMEOUT}) as connection:
        yield connection


@pytest.fixture
def ours(node: MakeNode, redis_url: str, client: redis.Redis) -> Node:
    return node(redis_url, transport_options={"visibility_timeout": TIMEOUT}).start("others")


def looked(node: Node) -> None:
    """One look, to its end."""
    theirs = node.source._others.abandoned  # type: ignore[attr-defined]
    theirs.look()
    node.until(lambda: not theirs._looking and not node.source._link.busy)  # type: ignore[attr-defined]
    node.rest()
    node.turn(), node.turn()
    node.until(lambda: not node.source._link.busy)  # type: ignore[attr-defined]


def hold(client: redis.Redis, raw: bytes, key: str = "q", exchange: str = "", *, age: float = OLD) -> str:
    """A message as kombu has it in flight, delivered so many seconds ago."""
    tag = str(uuid.uuid4())
    entry = b"[" + raw + b", " + json.dumps(exchange).encode() + b", " + json.dumps(key).encode() + b"]"
    client.hset("unacked", tag, entry)
    client.zadd("unacked_index", {tag: time.time() - age})
    return tag


def lists(client: redis.Redis) -> dict[str, list[str]]:
    names = [key.decode() for key in client.scan_iter(_type="LIST")]
    return {name: ids_of(client.lrange(name, 0, -1)) for name in names}


def test_what_a_kombu_consumer_held_goes_back_once_the_timeout_is_over(
    ours: Node, stock: Connection, client: redis.Redis
) -> None:
    # A name of its own: kombu keeps for the whole process which names were once bound to a fanout exchange.
    sent = stock.SimpleQueue("held")
    for number in range(3):
        sent.put({"n": number}, headers={"id": f"t{number}", "task": "t"})
    held = [sent.get(timeout=30) for _ in range(3)]
    looked(ours)
    assert client.hlen("unacked") == 3  # each has its time yet
    for message in held:
        client.zincrby("unacked_index", -OLD, message.delivery_tag)
    looked(ours)
    assert not client.exists("unacked", "unacked_index")
    assert lists(client) == {"held": ["t0", "t1", "t2"]}
    for message in held[1:]:
        message.ack()  # too late, as the tags are gone
    again = sent.get(timeout=30)
    assert again.payload == {"n": 0}
    assert again.headers["redelivered"] is True
    again.ack()
    assert lists(client) == {"held": ["t1", "t2"]}


def test_each_message_keeps_its_bytes_and_its_priority(ours: Node, client: redis.Redis) -> None:
    hold(client, envelope("urgent", priority=0))
    hold(client, envelope("later", priority=5))
    looked(ours)
    assert lists(client) == {"q": ["urgent"], Keys().list_for("q", 5): ["later"]}
    assert json.loads(client.lindex("q", 0))["headers"]["big"] == 2**60


def test_the_oldest_is_the_next_to_be_served(ours: Node, client: redis.Redis) -> None:
    for number in range(4):
        hold(client, envelope(f"t{number}"), age=OLD + 10 - number)
    looked(ours)
    assert lists(client) == {"q": ["t0", "t1", "t2", "t3"]}


@pytest.mark.parametrize("kind", ["direct", "topic"])
def test_a_message_from_an_exchange_goes_to_the_queues_that_are_bound_to_it(
    ours: Node, stock: Connection, client: redis.Redis, kind: str
) -> None:
    exchange = Exchange("media", type=kind)
    key = "video.big" if kind == "direct" else "video.*"
    for name in ("one", "two"):
        Queue(name, exchange, routing_key=key)(stock.channel()).declare()
    Queue("three", exchange, routing_key="audio")(stock.channel()).declare()
    hold(client, envelope("t"), "video.big", "media")
    looked(ours)
    assert lists(client) == {"one": ["t"], "two": ["t"]}


def test_what_has_an_owner_is_not_celerys_however_old(
    ours: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("q", envelope("t"))
    other = node(redis_url, "host:2").start()
    [held] = other.fetch(1)
    client.zadd("unacked_index", {held.tag: 1.0})
    looked(ours)
    assert client.hlen("unacked") == 1


def test_more_than_a_page_goes_back_in_one_look(
    ours: Node, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned, "PAGE", 3)
    for number in range(8):
        hold(client, envelope(f"t{number}"))
    looked(ours)
    assert sorted(lists(client)["q"]) == [f"t{number}" for number in range(8)]


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"no json", {}, "it cannot be read"),
        (envelope("t"), {"exchange": "gone", "key": "k"}, "no queue takes 'k' from exchange 'gone'"),
        (envelope("t"), {"key": ""}, "no queue takes ''"),
    ],
)
def test_what_has_no_place_to_go_stays_and_is_told_once(
    ours: Node,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    raw: bytes,
    place: dict[str, Any],
    words: str,
) -> None:
    tag = hold(client, raw, **place)
    hold(client, envelope("other"))
    looked(ours), looked(ours)
    assert client.hkeys("unacked") == [tag.encode()]
    assert lists(client) == {"q": ["other"]}
    assert caplog.text.count(words) == caplog.text.count(tag) == 1


def test_what_had_no_place_to_go_goes_there_once_there_is_one(ours: Node, client: redis.Redis) -> None:
    tag = hold(client, envelope("a"), "news", "exchange")
    looked(ours)
    assert client.hkeys("unacked") == [tag.encode()]
    client.sadd(Keys().table("exchange"), "\x06\x16".join(("news", "", "q")))
    looked(ours)  # so soon it is not looked at again
    assert client.hkeys("unacked") == [tag.encode()]
    theirs = ours.source._others.abandoned  # type: ignore[attr-defined]
    theirs._left_until -= abandoned.LEFT
    looked(ours)
    assert lists(client) == {"q": ["a"]}


def test_python_json_is_read_as_python_reads_it(ours: Node, client: redis.Redis) -> None:
    hold(client, envelope("t").replace(b'"big": ', b'"nan": NaN, "big": '))
    looked(ours)
    assert lists(client) == {"q": ["t"]}


def test_one_that_was_delivered_again_meanwhile_is_left(ours: Node, client: redis.Redis) -> None:
    tag = hold(client, envelope("t"))
    theirs = ours.source._others.abandoned  # type: ignore[attr-defined]
    entries = [abandoned.entry_of(tag, client.hget("unacked", tag))]
    client.zadd("unacked_index", {tag: time.time()})
    theirs._routed(f"{time.time() - TIMEOUT:.3f}", entries, [], [])
    ours.until(lambda: not ours.source._returns._waiting)  # type: ignore[attr-defined]
    ours.until(lambda: not ours.source._link.busy)  # type: ignore[attr-defined]
    assert client.hlen("unacked") == client.zcard("unacked_index") == 1


def test_two_nodes_that_look_at_once_double_nothing(
    ours: Node, node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    for number in range(5):
        hold(client, envelope(f"t{number}"))
    other = node(redis_url, "host:2", transport_options={"visibility_timeout": TIMEOUT}).start("others")
    for each in (ours, other):
        each.source._others.abandoned.look()  # type: ignore[attr-defined]
    for _ in range(20):
        ours.turn(), other.turn()
    ours.until(lambda: not client.exists("unacked"))
    other.turn()
    assert sorted(lists(client)["q"]) == [f"t{number}" for number in range(5)]


def test_it_happens_by_itself(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    hold(client, envelope("t"))
    short = node(redis_url, transport_options={"visibility_timeout": 0.4}).start()
    short.source.fetch(GROUP, 1)
    short.until(lambda: short.ids == ["t"])
