"""Messages that are put aside into RabbitMQ's dead queues, whatever state these are in."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection

from tests.process.source.amqp_client import Client, client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import letter, numbered
from workerd.source.amqp.link import TIMEOUT

__all__ = ["client"]


def test_what_cannot_be_read_is_put_aside_as_it_came(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    body = bytes(range(256)) * 2048  # several frames
    client.connection.Producer(client.channel).publish(
        body,
        routing_key=client.queue,
        content_type="application/data",
        content_encoding="binary",
        headers={"mine": [1, {"x": None}]},
        expiration=3600,
        priority=3,
    )
    [delivery] = ours.fetch(1)
    assert delivery.message is None
    assert delivery.problem
    assert delivery.raw == body
    ours.confirmed(ours.source.put_aside, delivery, letter("it is unreadable"))
    dead = client.take(f"{client.queue}.dead")
    assert dead.body == body
    assert dead.headers == {
        "mine": [1, {"x": None}],
        "x-workerd-letter": "l1",
        "x-workerd-reason": "it is unreadable",
        "x-workerd-queue": "q",
        "x-workerd-time": 1.5,
        "x-workerd-node": "n@h",
        "x-workerd-deaths": 0,
    }
    assert dead.properties["priority"] == 3
    assert dead.properties["delivery_mode"] == 2
    assert "expiration" not in dead.properties
    ours.source.close()
    assert client.waiting() == 0


def test_an_empty_message_is_a_delivery_with_a_problem(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.connection.Producer(client.channel).publish("", routing_key=client.queue)
    [delivery] = ours.fetch(1)
    assert delivery.raw == b""
    assert delivery.problem


def test_many_are_put_aside_at_once(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(60))
    done: list[str] = []
    for delivery in ours.fetch(60):
        assert delivery.message is not None
        ours.source.put_aside(delivery, letter("test"), lambda i=delivery.message.id: done.append(i))  # type: ignore[misc]
    assert ours.source.pending == 60
    ours.until(lambda: len(done) == 60)
    assert client.waiting(f"{client.queue}.dead") == 60
    assert ours.source.pending == 0


def test_the_publisher_of_dead_messages_waits_for_nothing_without_a_bound(
    node: MakeNode, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = node(client.url).start(client.queue)
    client.send("a")
    [delivery] = ours.fetch(1)
    timeouts: list[float | None] = []
    wait = Connection.channel

    def channel(connection: Connection) -> Any:
        timeouts.append(connection.connection.sock.gettimeout())
        return wait(connection)

    monkeypatch.setattr(Connection, "channel", channel)
    ours.confirmed(ours.source.put_aside, delivery, letter("test"))
    assert timeouts[0] == TIMEOUT


def test_a_dead_queue_that_was_deleted_is_declared_again(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send("a", "b")
    first, second = ours.fetch(2)
    ours.confirmed(ours.source.put_aside, first, letter("test"))
    client.channel.queue_delete(f"{client.queue}.dead")
    ours.confirmed(ours.source.put_aside, second, letter("test"))
    assert client.take(f"{client.queue}.dead").headers["id"] == "b"


def test_a_dead_queue_that_refuses_is_tried_until_it_takes(
    node: MakeNode, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    dead = f"{client.queue}.dead"
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    client.channel.queue_declare(dead, durable=True, auto_delete=False, arguments=full)
    client.send("fills it", queue=dead)
    ours = node(client.url).start(client.queue)
    client.send("a")
    [delivery] = ours.fetch(1)
    done: list[bool] = []
    ours.source.put_aside(delivery, letter("test"), lambda: done.append(True))
    ours.until(lambda: dead in caplog.text)
    assert not done
    assert ours.source.pending == 1
    client.take(dead)
    ours.until(lambda: done)
    assert client.take(dead).headers["id"] == "a"


def test_what_is_put_aside_while_the_publishers_connection_breaks_arrives(
    node: MakeNode, client: Client
) -> None:
    ours = node(client.url).start(client.queue)
    client.send("a", "b")
    first, second = ours.fetch(2)
    ours.confirmed(ours.source.put_aside, first, letter("test"))
    ours.source._publisher._connection.connection.sock.shutdown(2)  # type: ignore[attr-defined]
    ours.confirmed(ours.source.put_aside, second, letter("test"))
    assert not ours.lost
    dead = f"{client.queue}.dead"
    assert client.take(dead).headers["id"] == "a"
    assert client.take(dead).headers["id"] == "b"
