"""Groups of queues: what one of them has no room for never holds up another, over one link."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from kombu import Connection

from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node


class Client:
    """A plain kombu client with two queue names of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.quick, self.slow = (f"{word}.{uuid.uuid4().hex[:8]}" for word in ("quick", "slow"))
        self.connection = Connection(url)
        self._producer = self.connection.Producer()

    def send(self, queue: str, *ids: str) -> None:
        for task_id in ids:
            headers = {"task": "proj.add", "id": task_id}
            self._producer.publish(
                [[], {}, {}], routing_key=queue, serializer="json", headers=headers, correlation_id=task_id
            )


@pytest.fixture(params=["redis", "rabbitmq"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    name = {"redis": "redis_url", "rabbitmq": "rabbit_url"}[request.param]
    client = Client(request.getfixturevalue(name))
    yield client
    client.connection.collect()


@pytest.fixture
def ours(node: MakeNode, client: Client) -> Node:
    return node(client.url).start(client.quick, slow=[client.slow])


def test_each_group_is_given_what_it_has_room_for(ours: Node, client: Client) -> None:
    client.send(client.slow, *(f"s{n}" for n in range(9)))
    client.send(client.quick, *(f"q{n}" for n in range(9)))

    ours.source.fetch("slow", 2), ours.source.fetch(GROUP, 3)
    ours.until(lambda: len(ours.got) == 5)

    assert sorted(ours.ids) == ["q0", "q1", "q2", "s0", "s1"]
    assert ours.source.info()["room"] == {GROUP: 0, "slow": 0}


def test_a_group_without_room_holds_up_no_other(ours: Node, client: Client) -> None:
    client.send(client.slow, *(f"s{n}" for n in range(30)))
    held = ours.fetch(2, "slow")
    client.send(client.quick, *(f"q{n}" for n in range(30)))

    # The messages of the full group are unsettled all the while.
    for _ in range(10):
        ours.confirmed(ours.source.settle, ours.fetch(3))

    assert [i for i in ours.ids if i.startswith("q")] == [f"q{n}" for n in range(30)]
    assert [i for i in ours.ids if i.startswith("s")] == ["s0", "s1"]
    ours.confirmed(ours.source.settle, held)
    assert [d.message.id for d in ours.fetch(1, "slow") if d.message] == ["s2"]


def test_an_idle_group_is_woken_while_another_one_is_full(ours: Node, client: Client) -> None:
    client.send(client.slow, "s0", "s1")
    ours.fetch(1, "slow")
    ours.source.fetch(GROUP, 5)
    for n in range(3):
        ours.turn()
        client.send(client.quick, f"q{n}")
        ours.until(lambda n=n: f"q{n}" in ours.ids)  # type: ignore[misc]
    assert "s1" not in ours.ids


def test_what_two_groups_hold_is_settled_and_given_back_together(
    ours: Node, client: Client, node: MakeNode
) -> None:
    client.send(client.slow, "s0", "s1")
    client.send(client.quick, "q0", "q1")
    quick, slow = ours.fetch(2), ours.fetch(2, "slow")

    ours.confirmed(ours.source.settle, [quick[0], slow[0]])
    ours.confirmed(ours.source.give_back, [quick[1], slow[1]])
    ours.rest()
    ours.source.close()

    other = node(client.url, "host:2").start(client.quick, client.slow)
    other.fetch(2)
    assert sorted(other.ids) == ["q1", "s1"]


def test_a_queue_may_join_a_group_and_leave_it(ours: Node, client: Client) -> None:
    extra = f"extra.{uuid.uuid4().hex[:8]}"
    ours.source.add_queue("slow", extra)
    client.send(extra, "e0", "e1")
    assert [d.queue for d in ours.fetch(1, "slow")] == [extra]

    ours.source.cancel_queue(extra)
    client.send(client.slow, "s0")
    assert [d.queue for d in ours.fetch(1, "slow")] == [client.slow]
    assert ours.source.info()["queues"] == sorted([client.quick, client.slow])


def test_all_groups_share_one_link(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.quick, a=["a"], b=["b"], c=["c"])
    ours.source.fetch(GROUP, 1), ours.source.fetch("a", 1), ours.source.fetch("b", 1)
    ours.turn()
    # Its one descriptor, and on RabbitMQ none for dead letters before there is one.
    assert len(ours.hub.readers) == 1
