"""Lost links, dead daemons and servers in a bad state: no message is lost, none appears twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import redis

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, envelope, ids_of, letter
from tests.support.brokers import RedisServer
from workerd.errors import UnavailableError
from workerd.source.redis import recovery


@pytest.fixture
def config(client: redis.Redis) -> Iterator[redis.Redis]:
    """A client whose changes of the server's configuration are undone."""
    yield client
    client.execute_command("REPLICAOF", "NO", "ONE")
    client.config_set("maxmemory", "0")


def push(client: redis.Redis, count: int, queue: str = "q") -> list[str]:
    ids = [f"{queue}{n:03}" for n in range(count)]
    client.lpush(queue, *(envelope(task_id, queue) for task_id in ids))
    return ids


def next_link(old: Node, node: MakeNode, url: str, owner: str = "host:1") -> Node:
    """A later link of the same owner, whose consumer still holds what the old one was given."""
    old.source.close()
    new = node(url, owner)
    new.known = {delivery.tag for delivery in old.got}
    return new.start()


def cut(ours: Node, server: RedisServer) -> None:
    server.drop_clients()
    ours.until(lambda: ours.lost)


def test_a_fetch_whose_reply_was_lost_is_delivered_over_the_next_link(
    node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    ids = push(client, 9)
    ours = node(redis_url).start()
    held = ours.fetch(2)
    # The server answers, and the answer is never read.
    ours.scope.remove_reader(ours.source._link._sock.fileno())  # type: ignore[attr-defined]
    ours.source.fetch(GROUP, 5)
    ours.until(lambda: client.llen("q") == 2)
    assert len(ours.got) == 2
    new = next_link(ours, node, redis_url)
    new.until(lambda: len(new.got) == 5)
    assert new.ids == ids[2:7]
    assert not any(delivery.redelivered for delivery in new.got)
    new.confirmed(new.source.settle, held + new.got)
    assert not client.exists("unacked")
    assert client.llen("q") == 2


def test_a_link_lost_while_work_goes_on_delivers_nothing_twice(
    node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    push(client, 4)
    ours = node(redis_url).start()
    kept, settled, *_ = ours.fetch(3)
    ours.confirmed(ours.source.settle, [settled])
    cut(ours, redis_server)
    new = next_link(ours, node, redis_url)
    assert new.fetch(1)[0].message.id == "q003"  # type: ignore[union-attr]
    assert len(new.got) == 1
    new.confirmed(new.source.settle, [kept])
    assert client.hlen("unacked") == 2


def test_a_settlement_that_was_not_confirmed_can_be_sent_over_the_next_link(
    node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    push(client, 1)
    ours = node(redis_url).start()
    [delivery] = ours.fetch(1)
    redis_server.drop_clients()
    told: list[bool] = []
    ours.source.settle([delivery], lambda: told.append(True))
    ours.until(lambda: ours.lost)
    assert not told
    new = next_link(ours, node, redis_url)
    new.confirmed(new.source.settle, [delivery])
    assert not client.exists("unacked")


def test_the_work_of_dead_incarnations_is_given_back_inside_start(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ids = push(client, 350)
    client.lpush("q", b"no json")
    dead = node(redis_url, "host[x]:1").start()
    dead.fetch(351)
    alive = node(redis_url, "host[x]:11").start()
    push(client, 2, "r")
    alive.source.add_queue(GROUP, "r")
    alive.fetch(2)
    dead.source.close()
    ours = node(redis_url, "host[x]:2", predecessors=["host[x]:1", "never"]).start()
    assert ids_of(client.lrange("q", 1, -1)) == ids
    assert client.lindex("q", 0) == b"no json"
    assert client.hlen("unacked") == 2
    ours.fetch(351)
    assert all(delivery.redelivered for delivery in ours.got[:350])


def test_a_killed_server_comes_back_with_every_message(
    node: MakeNode, redis_url: str, client: redis.Redis, redis_server: RedisServer
) -> None:
    ids = push(client, 60)
    ours = node(redis_url).start()
    done = ours.fetch(20)
    ours.confirmed(ours.source.settle, done)
    held = ours.fetch(20)
    redis_server.kill()
    ours.until(lambda: ours.lost)
    with pytest.raises(UnavailableError):
        node(redis_url).start()
    redis_server.start()
    new = next_link(ours, node, redis_url)
    rest = new.fetch(20)
    assert [d.message.id for d in done + held + rest if d.message] == ids
    new.confirmed(new.source.settle, held + rest)
    assert not client.exists("q", "unacked", "unacked_index")


def test_a_server_that_forgot_the_scripts_is_taught_again(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, 6)
    ours = node(redis_url).start()
    ours.fetch(2)
    client.script_flush()
    ours.fetch(2)
    client.script_flush()
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.give_back, ours.got)
    client.script_flush()
    assert client.llen("q") == 6
    assert not ours.lost


def test_a_server_that_became_a_replica_is_a_lost_link(
    node: MakeNode, redis_url: str, config: redis.Redis
) -> None:
    push(config, 2)
    ours = node(redis_url).start()
    [delivery] = ours.fetch(1)
    config.execute_command("REPLICAOF", "127.0.0.1", "1")
    told: list[bool] = []
    ours.source.settle([delivery], lambda: told.append(True))
    ours.until(lambda: ours.lost)
    assert "READONLY" in ours.lost[0]
    assert not told
    with pytest.raises(UnavailableError, match="READONLY"):
        node(redis_url, "host:2").start()


def test_a_server_without_memory_still_lets_work_be_fetched_settled_and_given_back(
    node: MakeNode, redis_url: str, config: redis.Redis
) -> None:
    push(config, 4)
    config.config_set("maxmemory", "1")
    ours = node(redis_url).start()
    done, *rest = ours.fetch(4)
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.settle, [done])
    ours.confirmed(ours.source.give_back, rest)
    assert config.llen("q") == 3
    assert config.exists("workerd:lease:host:1")


def test_a_queue_of_a_wrong_type_loses_the_link_and_no_message_of_the_others(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, 3)
    client.set("r", "not a list")
    ours = node(redis_url).start("q", "r")
    ours.source.fetch(GROUP, 10)
    ours.until(lambda: ours.lost)
    assert "queue r" in ours.lost[0]
    assert len(ours.got) + client.llen("q") + client.hlen("unacked") == 3


def test_in_flight_keys_of_a_wrong_type_lose_the_link_before_anything_moves(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    push(client, 3)
    ours = node(redis_url).start()
    client.set("unacked_index", "not a sorted set")
    ours.source.fetch(GROUP, 10)
    ours.until(lambda: ours.lost)
    assert client.llen("q") == 3


def test_the_loss_of_the_link_is_told_once_and_closing_is_silent(
    node: MakeNode, redis_url: str, redis_server: RedisServer, client: redis.Redis
) -> None:
    push(client, 1)
    ours = node(redis_url).start()
    held = ours.fetch(1)
    redis_server.drop_clients()
    ours.source.settle(held)
    ours.until(lambda: ours.lost)
    ours.source.settle(held), ours.source.give_back(held), ours.source.put_aside(held[0], letter("no"))
    (
        ours.source.fetch(GROUP, 5),
        ours.source.wait(),
        ours.source.add_queue(GROUP, "r"),
        ours.source.cancel_queue("r"),
    )
    for _ in range(5):
        ours.turn()
    assert len(ours.lost) == 1
    other = node(redis_url, "host:2").start()
    other.source.close()
    redis_server.drop_clients()
    for _ in range(5):
        other.turn()
    assert not other.lost


def test_what_is_settled_while_recovery_reads_is_not_delivered_again(
    node: MakeNode, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PAGE", 20)
    push(client, 600)
    ours = node(redis_url, lease=1.5).start()
    held = ours.fetch(600)
    scans = client.info("commandstats")["cmdstat_hscan"]["calls"]
    # The second look for what is ours comes after a third of the lease.
    ours.until(lambda: client.info("commandstats")["cmdstat_hscan"]["calls"] > scans)
    ours.confirmed(ours.source.settle, held)
    ours.until(lambda: not ours.source._link.busy)  # type: ignore[attr-defined]
    ours.turn()
    assert len(ours.got) == 600
    assert not client.exists("unacked")


@pytest.mark.parametrize("why", ["WRONGTYPE", "permi"])
def test_a_dead_queue_that_takes_nothing_holds_up_no_others_and_is_told_once(
    node: MakeNode, client: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    caplog.set_level(logging.INFO, "workerd")
    if why == "WRONGTYPE":
        client.set("q.dead", "no list")
    else:
        rights = ("reset", "on", ">secret", "+@all", "~q", "~q\x06*", "~unacked*", "~workerd:*", "~_kombu*")
        client.execute_command("ACL", "SETUSER", "narrow", *rights)
        redis_url = redis_url.replace("://", "://narrow:secret@")
    try:
        client.lpush("q", envelope("a"), envelope("b"))
        ours = node(redis_url).start()
        first, second = ours.fetch(2)
        done: list[bool] = []
        ours.source.put_aside(first, letter("test"), lambda: done.append(True))
        ours.until(lambda: "Nothing can be put into queue q.dead" in caplog.text)
        ours.confirmed(ours.source.settle, [second])
        assert not ours.lost
        assert not done
        assert client.hlen("unacked") == 1
        if why == "WRONGTYPE":
            client.delete("q.dead")
        else:
            client.execute_command("ACL", "SETUSER", "narrow", "~q.dead")
        ours.until(lambda: done)
        assert client.llen("q.dead") == 1
        assert not client.exists("unacked")
        told = [record.getMessage() for record in caplog.records if "q.dead" in record.getMessage()]
        assert len(told) == 2
        assert why in told[0]
    finally:
        client.execute_command("ACL", "DELUSER", "narrow")
