"""Messages that wait for their ETA in Redis: in one sorted set, moved once, by whoever is there."""

from __future__ import annotations

import json
import time

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope, ids_of
from tests.support.brokers import RedisServer
from workerd.errors import WorkerdError
from workerd.source import Delivery
from workerd.source.redis.delayed import split_delayed
from workerd.source.redis.delayed_messages import RedisDelayedMessages
from workerd.source.redis.keys import Keys
from workerd.transport.address import address_of_url

DELAYED = "workerd:delayed"


def push(client: redis.Redis, *ids: str, eta: float, queue: str = "q", priority: int = 0) -> None:
    for task_id in ids:
        client.lpush(Keys().list_for(queue, priority), envelope(task_id, queue, priority, eta))


def parked(client: redis.Redis, ours: Node, *ids: str, seconds: float = 600.0) -> list[Delivery]:
    push(client, *ids, eta=time.time() + seconds)
    deliveries = ours.fetch(len(ids))
    ours.park(*deliveries)
    return deliveries


def due(client: redis.Redis, *ids: str, eta: float = 1.0) -> None:
    """Their time has come, by the server's clock."""
    for entry in client.zrange(DELAYED, 0, -1):
        if json.loads(split_delayed(entry)[1])["headers"]["id"] in ids:
            client.zadd(DELAYED, {entry: eta})


def test_a_parked_message_is_in_the_sorted_set_alone_byte_for_byte(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    eta = time.time() + 600
    push(client, "one", eta=eta, priority=6)
    [delivery] = ours.fetch(1)
    ours.until(lambda: ours.source.can_park(delivery))
    ours.park(delivery)
    [(entry, score)] = client.zrange(DELAYED, 0, -1, withscores=True)
    assert split_delayed(entry) == ("q\x06\x166", delivery.raw)
    assert score == pytest.approx(eta, abs=0.01)
    assert client.ttl(DELAYED) == -1
    assert not client.exists("unacked", "unacked_index", "q", "q\x06\x166")
    ours.until(lambda: ours.source.parked == 1)


def test_what_is_due_is_the_next_to_be_fetched_the_earliest_first(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    parked(client, ours, "c", "a", "b")
    for number, task_id in enumerate("abc"):
        due(client, task_id, eta=1.0 + number)
    client.lpush("q", envelope("fresh"))
    ours.got.clear()
    ours.until(lambda: not client.exists(DELAYED))
    ours.fetch(4)
    assert ours.ids == ["a", "b", "c", "fresh"]


def test_it_comes_at_its_time_and_not_a_second_later(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    push(client, "soon", eta=time.time() + 3)
    deliveries = ours.fetch(1)
    ours.until(lambda: ours.source.can_park(deliveries[0]))
    ours.park(*deliveries)
    [again] = ours.fetch(1)
    assert again.message is not None
    assert again.message.eta is not None
    assert again.message.eta <= time.time()
    assert not again.redelivered


def test_one_that_waits_for_something_else_than_its_eta_comes_when_that_is_over(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    client.lpush("q", envelope("turn"))
    [delivery] = ours.fetch(1)
    assert not ours.source.can_park(delivery)
    delivery.until = time.time() + 3
    ours.until(lambda: ours.source.can_park(delivery))
    ours.park(delivery)
    [(_, score)] = client.zrange(DELAYED, 0, -1, withscores=True)
    assert score == pytest.approx(delivery.until, abs=0.01)
    due(client, "turn")
    ours.until(lambda: not client.exists(DELAYED))
    [again] = ours.fetch(1)
    assert (again.raw, again.until) == (delivery.raw, 0.0)


def test_equal_messages_stay_two(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    ours = node(redis_url).start()
    raw = envelope("twin", eta=time.time() + 600)
    client.lpush("q", raw, raw)
    ours.park(*ours.fetch(2))
    assert client.zcard(DELAYED) == 2


def test_several_nodes_move_each_message_once(node: MakeNode, redis_url: str, client: redis.Redis) -> None:
    nodes = [node(redis_url, f"host:{n}").start() for n in range(3)]
    parked(client, nodes[0], *(f"t{n}" for n in range(40)))
    due(client, *(f"t{n}" for n in range(40)))
    for each in nodes:
        each.source._delayed.ask()  # type: ignore[attr-defined]
    for each in nodes:
        each.turn()
    nodes[0].until(lambda: client.llen("q") == 40)
    assert len(set(ids_of(client.lrange("q", 0, -1)))) == 40
    assert not client.exists(DELAYED)


def test_an_idle_node_is_woken_by_what_another_has_moved(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    first, second = node(redis_url, "host:1").start(), node(redis_url, "host:2").start()
    parked(client, first, "one")
    second.source.fetch(GROUP, 1)
    second.until(lambda: second.source.info()["wakes_by"] == "push")
    due(client, "one")
    first.source._delayed.ask()  # type: ignore[attr-defined]
    first.until(lambda: not client.exists(DELAYED))
    second.until(lambda: second.ids == ["one"])


def test_what_others_have_taken_over_is_not_parked(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    push(client, "one", eta=time.time() + 600)
    [delivery] = ours.fetch(1)
    client.delete("unacked", "unacked_index")
    ours.park(delivery)
    assert ours.gone == [delivery.tag]
    assert not client.exists(DELAYED)


def test_the_deaths_of_a_parked_message_stay_with_it(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    push(client, "one", eta=time.time() + 600)
    [delivery] = ours.fetch(1)
    delivery.deaths = 2
    ours.park(delivery)
    due(client, "one")
    [again] = ours.fetch(1)
    assert again.message is not None
    assert again.message.deaths == 2
    assert not again.redelivered


def test_what_is_due_by_the_brokers_clock_is_not_parked(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    """Else a node whose clock is late would send it away again and again."""
    ours = node(redis_url).start()
    push(client, "past", eta=time.time() - 1)
    push(client, "future", eta=time.time() + 600)
    past, future = ours.fetch(2)
    ours.until(lambda: ours.source.can_park(future))
    assert not ours.source.can_park(past)


def test_one_that_cannot_be_moved_holds_up_no_other(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start("q", "r")
    push(client, "bad", eta=time.time() + 600, queue="r")
    ours.park(*ours.fetch(1))
    parked(client, ours, "good")
    client.set("r", "no list")
    due(client, "bad", "good")
    client.zadd(DELAYED, {"nobody's entry": 1.0})
    ours.source.cancel_queue("r")
    ours.until(lambda: client.llen("q") == 1)
    ours.until(lambda: client.zcard(DELAYED) == 2)
    assert not ours.lost
    client.zrem(DELAYED, "nobody's entry")
    client.delete("r")
    due(client, "bad")
    ours.until(lambda: client.llen("r") == 1)


def test_an_idle_node_asks_the_server_less_than_twice_a_second(
    node: MakeNode, redis_url: str, redis_server: RedisServer, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    ours.source.fetch(GROUP, 1)
    parked(client, ours, "one")
    ours.until(lambda: ours.source.info()["wakes_by"] == "push")
    writes = client.info("persistence")["aof_current_size"]
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    began = time.monotonic()
    ours.until(lambda: time.monotonic() - began > 3)
    looks = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    # A fetch and a move each second, in one pipeline; and what renews the lease.
    assert looks <= 2 * (time.monotonic() - began) + 3
    assert client.info("persistence")["aof_current_size"] == writes


def test_with_the_servers_memory_full_parking_and_moving_go_on(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start()
    push(client, "one", "two", eta=time.time() + 600)
    deliveries = ours.fetch(2)
    client.config_set("maxmemory", 1)
    try:
        ours.park(*deliveries)
        score = dict.fromkeys(client.zrange(DELAYED, 0, -1), 1.0)
        client.config_set("maxmemory", 0)
        client.zadd(DELAYED, score)
        client.config_set("maxmemory", 1)
        ours.until(lambda: client.llen("q") == 2)
        assert not ours.lost
    finally:
        client.config_set("maxmemory", 0)


def test_a_user_who_may_not_ask_for_the_time_keeps_its_messages_and_its_link(
    node: MakeNode, redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", "-time")
    try:
        ours = node(redis_url.replace("redis://", "redis://poor:pw@")).start()
        push(client, "one", eta=time.time() + 600)
        [delivery] = ours.fetch(1)
        ours.until(lambda: "stay in this daemon" in caplog.text)
        assert not ours.source.can_park(delivery)
        ours.rest()
        assert not ours.lost
    finally:
        client.execute_command("ACL", "DELUSER", "poor")


def test_a_flush_tells_what_it_could_not_send(node: MakeNode, client: redis.Redis, redis_url: str) -> None:
    ours = node(redis_url).start()
    parked(client, ours, "a", "b", "c")
    messages = RedisDelayedMessages(address_of_url(redis_url), Keys())
    try:
        client.set("q", "no list")
        with pytest.raises(WorkerdError, match=r"^0 sent to their queues, 3 stay: .*WRONGTYPE"):
            messages.flush()
        client.delete("q")
        assert messages.flush() == 3
        assert ids_of(client.lrange("q", 0, -1)) == ["a", "b", "c"]
        assert messages.flush() == 0
    finally:
        messages.close()
