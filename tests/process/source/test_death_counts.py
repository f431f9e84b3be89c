"""The count of deaths travels with what is given back, and no message is lost or doubled for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.process.source.amqp_client import Client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, envelope, ids_of
from tests.support.brokers import RabbitServer
from workerd.source import Delivery


@pytest.fixture
def rabbit(rabbit_url: str) -> Iterator[Client]:
    client = Client(rabbit_url)
    yield client
    client.connection.collect()


def deaths(deliveries: list[Delivery]) -> list[int]:
    return [d.message.deaths for d in deliveries if d.message is not None]


class TestRedis:
    def test_a_give_back_counts_in_the_same_step(
        self, node: MakeNode, redis_url: str, client: redis.Redis
    ) -> None:
        client.lpush("q", envelope("a"), envelope("b"))
        ours = node(redis_url).start()
        held = ours.fetch(2)
        held[0].deaths = 2
        ours.source.fetch(GROUP, 0)
        ours.confirmed(ours.source.give_back, held)
        raws = client.lrange("q", 0, -1)
        assert ids_of(raws) == ["a", "b"]
        assert not client.exists("unacked")
        counted = json.loads(raws[-1])
        assert counted["headers"].pop("x-workerd-deaths") == 2
        assert counted["headers"]["big"] == 2**60
        assert "x-workerd-deaths" not in json.loads(raws[0])["headers"]
        assert deaths(ours.fetch(2)) == [2, 0]

    def test_a_late_give_back_writes_nothing(
        self, node: MakeNode, redis_url: str, client: redis.Redis
    ) -> None:
        client.lpush("q", envelope("a"))
        ours = node(redis_url).start()
        [held] = ours.fetch(1)
        held.deaths = 1
        client.delete("unacked", "unacked_index")  # another node has taken it over, and ended it
        ours.confirmed(ours.source.give_back, [held])
        assert not client.exists("q")

    def test_a_successor_writes_what_its_predecessor_could_not(
        self, node: MakeNode, redis_url: str, client: redis.Redis
    ) -> None:
        client.lpush("q", envelope("a"), envelope("b"))
        client.lpush("q", b"no json")
        dead = node(redis_url, "host:1").start()
        dead.fetch(3)
        dead.source.close()
        counts = {"a": 1, "b": 0}
        ours = node(
            redis_url,
            "host:2",
            predecessors=["host:1"],
            deaths=lambda d: counts.get(d.message.id if d.message else "", 0),
        ).start()
        assert deaths(ours.fetch(3)) == [1, 0]


class TestRabbit:
    def test_a_counted_message_is_published_anew_and_then_acknowledged(
        self, node: MakeNode, rabbit: Client
    ) -> None:
        ours = node(rabbit.url).start(rabbit.queue)
        rabbit.send("a", "b", priority=4, expiration=3600, headers={"task": "proj.add", "mine": [1]})
        held = ours.fetch(2)
        held[0].deaths = 2
        ours.source.fetch(GROUP, 0)
        ours.confirmed(ours.source.give_back, held)
        assert ours.source.pending == 0
        ours.source.close()
        found: dict[str, Any] = {}
        for _ in range(2):
            message = rabbit.take(rabbit.queue)
            found[message.headers["id"]] = message
        assert rabbit.take(rabbit.queue) is None
        counted, plain = found["a"], found["b"]
        assert counted.headers == {**plain.headers, "id": "a", "x-workerd-deaths": 2, "redelivered": True}
        assert counted.body == plain.body
        assert counted.properties["priority"] == 4
        assert counted.properties["expiration"] == plain.properties["expiration"]
        assert plain.delivery_info["redelivered"]

    def test_the_count_is_read_by_whoever_gets_it_next(self, node: MakeNode, rabbit: Client) -> None:
        ours = node(rabbit.url).start(rabbit.queue)
        rabbit.send("a")
        [held] = ours.fetch(1)
        held.deaths = 1
        ours.source.fetch(GROUP, 0)
        ours.confirmed(ours.source.give_back, [held])
        other = node(rabbit.url).start(rabbit.queue)
        [again] = other.fetch(1)
        assert deaths([again]) == [1]
        assert again.message is not None
        assert again.message.redelivered
        again.deaths = 1
        assert not again.counted  # and would be given back as it is

    def test_a_link_that_is_lost_before_the_copy_is_confirmed_loses_nothing(
        self, node: MakeNode, rabbit: Client, rabbit_server: RabbitServer
    ) -> None:
        ours = node(rabbit.url).start(rabbit.queue)
        rabbit.send("a")
        [held] = ours.fetch(1)
        held.deaths = 1
        done: list[bool] = []
        ours.source.give_back([held], lambda: done.append(True))
        rabbit_server.drop_clients()
        ours.until(lambda: ours.lost)
        assert not done
        other = node(rabbit.url).start(rabbit.queue)
        assert other.fetch(1)[0].message.id == "a"  # type: ignore[union-attr]

    def test_a_queue_that_was_deleted_meanwhile_is_declared_for_the_copy(
        self, node: MakeNode, rabbit: Client
    ) -> None:
        ours = node(rabbit.url).start(rabbit.queue)
        rabbit.send("a")
        [held] = ours.fetch(1)
        ours.source.cancel_queue(rabbit.queue)
        rabbit.channel.queue_delete(rabbit.queue)
        held.deaths = 1
        ours.confirmed(ours.source.give_back, [held])
        assert rabbit.waiting() == 1
