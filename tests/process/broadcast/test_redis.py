"""RedisBroadcast against a real server, in either protocol, and kombu on the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue

from tests.process.broadcast.turned import Turned
from tests.process.source.conftest import client
from tests.support.brokers import RedisServer
from workerd.broadcast import Exchange as Told
from workerd.broadcast import Heard, Notice, Station
from workerd.broadcast.redis import RedisBroadcast
from workerd.transport.address import address_of_url

__all__ = ["client"]

EVENTS, ANSWERS = Told("celeryev", "topic"), Told("reply.celery.pidbox", "direct")


class Side(Turned):
    """One node's broadcast, in a hub that is turned by hand."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.broadcast = RedisBroadcast(address_of_url(url), {}, self.hub)
        self.heard: list[Heard] = []

    def listen(self, station: Station) -> Callable[[], None]:
        return self.broadcast.listen(station, self.heard.append)

    def close(self) -> None:
        self.broadcast.close()
        self.broadcast.close()
        self.dispose()


@pytest.fixture(params=["resp3", "resp2"])
def side(request: pytest.FixtureRequest, client: redis.Redis, redis_server: RedisServer) -> Iterator[Side]:
    """A server that does not let us say HELLO is spoken to as those before 6.0 were."""
    url = redis_server.url
    if request.param == "resp2":
        rights = ["on", ">secret", "~*", "&*", "+@all", "-hello"]
        client.execute_command("ACL", "SETUSER", "old", "reset", *rights)
        url = url.replace("redis://", "redis://old:secret@")
    one = Side(url)
    yield one
    one.close()
    client.execute_command("ACL", "DELUSER", "old")


def subscribed(client: redis.Redis) -> int:
    return int(client.pubsub_numpat())


def test_what_kombu_tells_is_heard_and_again_after_a_lost_link(
    side: Side, client: redis.Redis, redis_server: RedisServer
) -> None:
    side.listen(Station(EVENTS, "celeryev.x", "worker.#"))
    side.until(lambda: subscribed(client))
    with Connection(redis_server.url) as connection:
        tell = connection.Producer(exchange=Exchange("celeryev", type="fanout")).publish
        for key in ("worker.online", "task.sent"):
            tell({"n": 1}, routing_key=key, headers={"hostname": "w@h"})
        side.until(lambda: side.heard)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        side.until(lambda: subscribed(client))
        tell({"n": 2}, routing_key="worker.heartbeat", retry=True)
        side.until(lambda: len(side.heard) == 2)
    assert [heard.key for heard in side.heard] == ["worker.online", "worker.heartbeat"]
    assert [heard.value(["json"]) for heard in side.heard] == [{"n": 1}, {"n": 2}]
    assert side.heard[0].headers == {"hostname": "w@h"}


def test_what_is_told_is_heard_by_kombu(side: Side, client: redis.Redis, redis_server: RedisServer) -> None:
    got: list[Any] = []
    with Connection(redis_server.url) as connection:
        queue = Queue("q", Exchange("celeryev", type="fanout"), "task.#")
        with Consumer(
            connection.channel(), [queue], no_ack=True, callbacks=[lambda body, _: got.append(body)]
        ):
            while not subscribed(client):  # kombu does that when it is asked for messages
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.01)
            side.broadcast.tell(Notice("celeryev", "task.multi", b'[{"n": 1}]'))
            side.broadcast.tell(Notice("celeryev", "worker.online", b'{"n": 2}'))
            side.until(lambda: not side.broadcast._waiting and not side.broadcast._flying)
            connection.drain_events(timeout=20)
    assert got == [[{"n": 1}]]


def test_an_answer_waits_for_the_one_who_asked_and_expires(
    side: Side, client: redis.Redis, redis_server: RedisServer
) -> None:
    with Connection(redis_server.url) as connection:
        queue = Queue("oid.reply", Exchange("reply.celery.pidbox", type="direct"), "oid", expires=10)
        queue(connection.channel()).declare()
        side.broadcast.answer(Notice("reply.celery.pidbox", "oid", b'{"w@h": 1}'))
        side.broadcast.answer(Notice("reply.celery.pidbox", "nobody", b'{"w@h": 1}'))
        side.until(lambda: client.llen("oid.reply"))
        assert 0 < client.pttl("oid.reply") <= 10_000
        got = connection.SimpleQueue(queue).get(timeout=20)
        assert got.payload == {"w@h": 1}
    assert not client.exists("nobody.reply.celery.pidbox")


def test_answers_are_fetched_and_nothing_of_it_stays(
    side: Side, client: redis.Redis, redis_server: RedisServer
) -> None:
    end = side.listen(Station(ANSWERS, "me.reply.celery.pidbox", "me"))
    side.until(lambda: client.smembers("_kombu.binding.reply.celery.pidbox"))
    with Connection(redis_server.url) as connection:
        tell = connection.Producer(exchange=Exchange("reply.celery.pidbox", type="direct")).publish
        for number in range(3):
            tell({"n": number}, routing_key="me")
    client.lpush("me.reply.celery.pidbox", "nonsense")
    side.until(lambda: len(side.heard) == 3)
    assert {heard.value(["json"])["n"] for heard in side.heard} == {0, 1, 2}
    assert client.zscore("_kombu.binding_deadlines", "reply.celery.pidbox")
    end()
    end()
    side.until(lambda: not client.exists("_kombu.binding.reply.celery.pidbox"))
    assert not client.exists("me.reply.celery.pidbox", "_kombu.binding_deadlines")


def test_a_user_who_may_not_is_told_once(
    client: redis.Redis, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client.execute_command("ACL", "SETUSER", "deaf", "reset", "on", ">secret", "+ping", "+hello", "+client")
    side = Side(redis_server.url.replace("redis://", "redis://deaf:secret@"))
    try:
        side.listen(Station(EVENTS, "celeryev.x", "worker.#"))
        side.until(lambda: "does not let this node hear other nodes: NOPERM" in caplog.text)
        for _ in range(2):
            side.broadcast.tell(Notice("celeryev", "worker.online", b"{}"))
            side.until(lambda: "does not let this node tell other nodes: NOPERM" in caplog.text)
        assert caplog.text.count("tell other nodes") == 1
    finally:
        side.close()
        client.execute_command("ACL", "DELUSER", "deaf")


def test_what_is_told_to_a_fanout_exchange_is_kept_in_a_list_that_ends_by_itself(
    side: Side, client: redis.Redis, redis_server: RedisServer
) -> None:
    for _ in range(2):
        assert side.broadcast.keep("everyone", "bcast.1")
    side.until(lambda: subscribed(client) == 2)
    with Connection(redis_server.url) as connection:
        tell = connection.Producer(exchange=Exchange("everyone", type="fanout")).publish
        for key in ("", "some.key"):
            tell({"n": 1}, routing_key=key)
        side.until(lambda: client.llen("bcast.1") == 2)
        assert 0 < client.ttl("bcast.1") <= 3600
        assert not side.heard
        [message, _] = (connection.default_channel.basic_get("bcast.1") for _ in range(2))
        assert message.decode() == {"n": 1}
