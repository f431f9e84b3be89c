"""Messages in and out of Redis: nothing is ever in neither the lists nor the in-flight store."""

from __future__ import annotations

import base64
import json
import time

import pytest
import redis
from kombu import Connection

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, envelope, ids_of, letter, numbered
from workerd.errors import UnavailableError
from workerd.source.redis.keys import Keys

LEVELS = ("q", "q\x06\x163", "q\x06\x166", "q\x06\x169")


def push(client: redis.Redis, *ids: str, queue: str = "q") -> None:
    client.lpush(queue, *(envelope(task_id, queue) for task_id in ids))


def test_a_fetched_message_is_in_flight_under_our_tag_until_it_is_settled(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    raw = envelope("one")
    client.lpush("q", raw)
    ours = node(redis_url, "host:1", lease=30.0).start()
    [delivery] = ours.fetch(1)
    assert delivery.raw == raw
    assert delivery.queue == "q"
    assert delivery.tag.startswith("host:1:")
    assert not client.exists("q")
    assert client.hgetall("unacked") == {delivery.tag.encode(): b"[" + raw + b',"","q"]'}
    [(tag, score)] = client.zrange("unacked_index", 0, -1, withscores=True)
    assert tag == delivery.tag.encode()
    assert time.time() < score <= time.time() + 30.001  # scores are written in milliseconds
    ours.confirmed(ours.source.settle, [delivery])
    assert not client.exists("unacked", "unacked_index")


def test_a_drain_stops_every_look(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    push(client, "a", "b")
    ours = node(redis_url).start()
    ours.fetch(1)
    ours.source.fetch(GROUP, 1)
    ours.source.drain()
    ours.source.put_aside(ours.got[0], letter("a round trip"))
    ours.rest()
    assert ours.ids == ["a"]
    assert client.llen("q") == 1


def test_no_more_is_fetched_than_there_is_room_for(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, *numbered(10))
    ours = node(redis_url).start()
    ours.fetch(3)
    ours.source.put_aside(ours.got[2], letter("a round trip after the look"))
    ours.rest()
    assert ours.ids == numbered(3)
    assert client.llen("q") == 7
    ours.fetch(2)
    assert ours.ids == numbered(5)


def test_a_room_of_nothing_stops_fetching(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    ours = node(redis_url).start()
    ours.source.fetch(GROUP, 5)
    ours.turn()
    ours.source.fetch(GROUP, 0)
    ours.until(lambda: ours.source.info()["room"] == {GROUP: 0})
    ours.confirmed(ours.source.settle, [])
    push(client, "late")
    other = node(redis_url, "host:2").start()
    assert [d.message.id for d in other.fetch(1) if d.message] == ["late"]
    assert not ours.got


def test_lower_steps_are_served_first_whatever_the_queue(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    for step, level in enumerate(LEVELS):
        client.lpush(level, envelope(f"first{step}", priority=3 * step))
        other = level.replace("q", "r", 1)
        client.lpush(other, envelope(f"second{step}", "r", priority=3 * step))
    ours = node(redis_url).start("q", "r")
    ours.fetch(8)
    assert [task_id[-1] for task_id in ours.ids] == list("00112233")


@pytest.mark.parametrize("room", [1, 2, 7])
def test_two_full_queues_share(node: MakeNode, redis_url: str, client: redis.Redis, room: int) -> None:
    for queue in ("q", "r"):
        push(client, *numbered(28, queue), queue=queue)
    ours = node(redis_url).start("q", "r")
    for _ in range(4):
        ours.fetch(room)
    fetched = [delivery.queue for delivery in ours.got]
    assert abs(fetched.count("q") - fetched.count("r")) <= 1
    for queue in ("q", "r"):
        own = [task_id for task_id in ours.ids if task_id.startswith(queue)]
        assert own == sorted(own)


def test_in_strict_order_a_queue_is_served_only_while_those_before_it_are_empty(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    for queue in ("c", "a", "b"):
        push(client, *numbered(6, queue), queue=queue)
    client.lpush(Keys().list_for("c", 9), envelope("late", "c", priority=9))
    ours = node(redis_url, strict=[GROUP]).start("b", "c", "a")
    for _ in range(4):
        ours.fetch(3)
    push(client, "more", queue="b")
    ours.fetch(7)
    in_order = numbered(6, "b") + numbered(6, "c")
    assert ours.ids == [*in_order, "more", *numbered(6, "a")]
    ours.fetch(1)
    assert ours.ids[-1] == "late"  # priorities come before queues


def test_an_empty_queue_leaves_its_share_to_the_others(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, *numbered(20))
    ours = node(redis_url).start("q", "r", "s")
    ours.fetch(20)
    assert ours.ids == numbered(20)


def test_more_than_a_script_can_carry_comes_in_several_looks(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, *numbered(1700))
    ours = node(redis_url).start()
    ours.fetch(1700)
    assert len(set(ours.ids)) == 1700
    ours.confirmed(ours.source.settle, ours.got)
    assert not client.exists("unacked")


@pytest.mark.parametrize("singly", [False, True])
def test_given_back_messages_are_next_and_in_their_order(
    node: MakeNode, redis_url: str, client: redis.Redis, singly: bool
) -> None:
    push(client, *numbered(250))
    client.lpush(LEVELS[1], envelope("p", priority=5))
    ours = node(redis_url).start()
    taken = [d for d in ours.fetch(251) if d.message is not None]
    push(client, "later")
    ours.source.fetch(GROUP, 0)
    client.config_resetstat()
    for part in ([delivery] for delivery in taken) if singly else (taken,):
        ours.source.give_back(part)
    ours.rest()
    scripts = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert scripts <= 4  # three batches, and a lease may be renewed meanwhile
    assert not client.exists("unacked", "unacked_index")
    assert ids_of(client.lrange("q", 0, -1)) == [*numbered(250), "later"]
    assert ids_of(client.lrange(LEVELS[1], 0, -1)) == ["p"]
    again = ours.fetch(1)[0]
    assert again.redelivered
    assert json.loads(again.raw)["headers"]["big"] == 2**60


def test_what_is_put_aside_is_kept_byte_for_byte(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    client.lpush("q", b"\xfe no json")
    ours = node(redis_url).start()
    [delivery] = ours.fetch(1)
    assert delivery.message is None
    assert delivery.problem
    ours.confirmed(ours.source.put_aside, delivery, letter(delivery.problem))
    [entry] = map(json.loads, client.lrange("q.dead", 0, -1))
    assert base64.b64decode(entry.pop("raw")) == delivery.raw
    expected = {"reason": delivery.problem, "queue": "q", "time": 1.5, "id": "l1", "node": "n@h", "deaths": 0}
    assert entry == expected
    assert client.smembers("workerd:dead") == {b"q"}
    assert not client.exists("q", "unacked", "unacked_index")


def test_a_late_word_about_work_that_others_took_over_does_nothing(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, *numbered(3))
    ours = node(redis_url).start()
    settled, returned, dead = ours.fetch(3)
    client.delete("unacked", "unacked_index")
    ours.source.settle([settled])
    ours.source.give_back([returned])
    ours.confirmed(ours.source.put_aside, dead, letter("late"))
    ours.rest()
    assert not client.exists("q", "q.dead")


def test_kombus_restore_puts_our_messages_back_where_they_came_from(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("r", envelope("r0", "r"))
    client.lpush("q", envelope("q0"))
    client.lpush(LEVELS[2], envelope("q6", priority=6))
    ours = node(redis_url).start("q", "r")
    ours.fetch(3)
    stock = {"visibility_timeout": -3600}  # every lease has run out an hour ago
    with Connection(redis_url, transport_options=stock) as connection, connection.channel() as channel:
        channel.qos.restore_visible()
    assert not client.exists("unacked", "unacked_index")
    assert ids_of(client.lrange("q", 0, -1)) == ["q0"]
    assert ids_of(client.lrange("r", 0, -1)) == ["r0"]
    assert ids_of(client.lrange(LEVELS[2], 0, -1)) == ["q6"]


def test_a_kombu_producer_finds_the_queue_behind_its_exchange(node: MakeNode, redis_url: str) -> None:
    ours = node(redis_url).start()
    with Connection(redis_url) as connection:
        connection.Producer().publish(
            [[], {}, {}], exchange="q", routing_key="q", headers={"task": "t", "id": "a"}
        )
    ours.fetch(1)
    assert ours.ids == ["a"]


def test_a_global_prefix_is_kept(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    client.lpush("app:q", envelope("a"))
    ours = node(redis_url, transport_options={"global_keyprefix": "app:"}).start()
    ours.fetch(1)
    assert all(key.startswith(b"app:") for key in client.scan_iter())


def test_queues_come_and_go(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    ours = node(redis_url).start("q")
    ours.source.fetch(GROUP, 10)
    push(client, "r0", queue="r")
    ours.source.add_queue(GROUP, "r")
    ours.until(lambda: ours.ids == ["r0"])
    ours.source.cancel_queue("r")
    push(client, "r1", queue="r")
    push(client, "q0")
    ours.until(lambda: "q0" in ours.ids)
    ours.confirmed(ours.source.settle, ours.got)
    assert client.llen("r") == 1


def test_the_lease_is_renewed_while_the_owner_lives(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a", "b")
    ours = node(redis_url, "host:1", lease=0.9).start()
    kept, gone = ours.fetch(2)
    assert 0 < client.pttl("workerd:lease:host:1") <= 900
    first = client.zscore("unacked_index", kept.tag)
    client.zrem("unacked_index", gone.tag)
    ours.until(lambda: client.zscore("unacked_index", kept.tag) > first + 0.5)
    assert client.zscore("unacked_index", gone.tag) is None


def test_a_server_that_is_not_there_is_told_by_start(node: MakeNode) -> None:
    ours = node("redis://127.0.0.1:1/0")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        ours.start()


def test_what_is_said_before_start_is_done_after_it(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, "a", "b")
    old = node(redis_url).start()
    [held] = old.fetch(1)
    old.source.close()
    ours = node(redis_url)
    ours.known = {held.tag}
    ours.source.settle([held])
    ours.source.fetch(GROUP, 1)
    ours.turn()
    ours.start()
    ours.rest()
    ours.until(lambda: ours.ids == ["b"])
    assert client.hlen("unacked") == 1
