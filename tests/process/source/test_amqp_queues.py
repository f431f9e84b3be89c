"""Queues of RabbitMQ that somebody else may have declared, and those that come, go and are deleted."""

from __future__ import annotations

import pytest

from tests.process.source.amqp_client import Client, client, quiet
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, numbered

__all__ = ["client"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-priority": 10},
        {"x-queue-type": "quorum"},
        {"x-message-ttl": 3_600_000},
        {"x-queue-type": "quorum", "x-dead-letter-exchange": "x", "x-delivery-limit": 5},
    ],
)
def test_a_queue_that_exists_is_consumed_as_it_is(
    node: MakeNode, client: Client, arguments: dict[str, object]
) -> None:
    client.channel.queue_declare(client.queue, durable=True, auto_delete=False, arguments=arguments)
    ours = node(client.url).start(client.queue)
    client.send(*numbered(3))
    for room in (1, 2):  # the limit changes
        ours.fetch(room)
    assert ours.ids == numbered(3)
    ours.confirmed(ours.source.settle, ours.got)
    quiet(ours, client.url)
    assert not ours.lost


def test_a_quorum_queue_may_join_classic_ones(node: MakeNode, client: Client) -> None:
    quorum = f"{client.queue}.quorum"
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "nowhere"}
    client.channel.queue_declare(quorum, durable=True, auto_delete=False, arguments=arguments)
    ours = node(client.url).start(client.queue)
    client.send("a", "b")
    ours.fetch(1)
    ours.source.add_queue(GROUP, quorum)
    client.send("c", "d", queue=quorum)
    ours.fetch(3)
    assert sorted(ours.ids) == ["a", "b", "c", "d"]
    ours.confirmed(ours.source.settle, ours.got)
    quiet(ours, client.url)
    assert not ours.lost


def test_a_new_queue_is_behind_a_direct_exchange_of_its_name(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.channel.exchange_declare(client.queue, "direct", durable=True, auto_delete=False)
    client.channel.queue_declare(client.queue, durable=True, auto_delete=False)
    client.send("a", exchange=client.queue)
    ours.fetch(1)
    assert ours.ids == ["a"]


def test_queues_come_and_go(node: MakeNode, client: Client) -> None:
    other = f"{client.queue}.other"
    ours = node(client.url).start(client.queue)
    client.send("a")
    held = ours.fetch(1)
    ours.source.add_queue(GROUP, other)
    client.send("b", queue=other)
    ours.fetch(1)
    assert [d.queue for d in ours.got] == [client.queue, other]
    ours.source.cancel_queue(other)
    quiet(ours, client.url)
    client.send("c", queue=other)
    client.send("d")
    ours.source.fetch(GROUP, 5)
    ours.until(lambda: len(ours.got) == 3)
    assert ours.ids == ["a", "b", "d"]
    ours.confirmed(ours.source.settle, held + ours.got[1:])
    assert client.waiting(other) == 1


def test_a_queue_that_was_deleted_is_declared_and_consumed_again(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    ours.source.fetch(GROUP, 2)
    quiet(ours, client.url)
    client.channel.queue_delete(client.queue)
    ours.until(client.exists)
    client.send("a")
    ours.until(lambda: ours.ids == ["a"])
    assert not ours.lost
