"""Messages in and out of RabbitMQ, with queues that somebody else may have declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from tests.process.source.amqp_client import Client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, letter
from tests.support.brokers import RabbitServer
from workerd.source import Delivery
from workerd.source.amqp.link import TIMEOUT


@pytest.fixture
def client(rabbit_url: str) -> Iterator[Client]:
    client = Client(rabbit_url)
    yield client
    client.connection.collect()


def numbered(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{n:03}" for n in range(count)]


def quiet(node: Node, url: str) -> None:
    """Turn until the broker has done what was written before, and everything it sent is here."""
    other = Connection(url)
    channel = other.channel()
    for _ in range(3):
        node.turn()
        channel.basic_qos(0, 1, False)
    other.release()
    node.turn()


def test_no_more_is_fetched_than_there_is_room_for(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(10))
    held = ours.fetch(3)
    quiet(ours, client.url)
    assert ours.ids == numbered(3)
    assert ours.source.info()["prefetch"] == 3
    ours.confirmed(ours.source.settle, held[:1])
    quiet(ours, client.url)
    assert len(ours.got) == 3  # one was settled, and no room was offered for another
    ours.fetch(1)
    ours.fetch(2)
    quiet(ours, client.url)
    assert ours.ids == numbered(6)


def test_a_room_of_nothing_and_nothing_held_stops_the_broker(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(4))
    held = ours.fetch(2)
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.settle, held)
    quiet(ours, client.url)
    assert ours.ids == numbered(2)
    assert client.waiting() == 2
    ours.fetch(2)
    assert ours.ids == numbered(4)


def test_settled_messages_are_gone_in_whatever_order(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(10))
    held = ours.fetch(10)
    for chosen in (held[3:5], held[:2], held[7:8], held[2:3], held[5:7]):
        ours.confirmed(ours.source.settle, chosen)
    ours.source.close()
    other = node(client.url).start(client.queue)
    assert [d.message.id for d in other.fetch(2) if d.message] == ["t008", "t009"]
    assert all(d.redelivered for d in other.got)
    assert client.waiting() == 0


def test_given_back_messages_are_next(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(6))
    held = ours.fetch(4)
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.give_back, held[1:])
    other = node(client.url).start(client.queue)
    other.fetch(5)
    assert other.ids == numbered(6)[1:]
    assert [d.redelivered for d in other.got] == [True] * 3 + [False] * 2


def test_the_message_tells_what_the_broker_said(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    with_priority = {"priority": 4, "reply_to": "me", "correlation_id": "a"}
    client.send("a", headers={"task": "proj.mul", "retries": 2}, **with_priority)
    [delivery] = ours.fetch(1)
    assert delivery.raw == b"[[], {}, {}]"
    message = delivery.message
    assert message is not None
    assert (message.task, message.id, message.retries) == ("proj.mul", "a", 2)
    assert (message.priority, message.reply_to) == (4, "me")
    assert message.routing_key == client.queue


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


def test_never_more_is_handed_over_than_there_is_room_for(node: MakeNode, client: Client) -> None:
    queues = [f"{client.queue}.{n}" for n in range(3)]
    for queue in queues:
        arguments = {"x-queue-type": "quorum"}
        client.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
        client.send("a", "b", queue=queue)
    ours = node(client.url).start(*queues)
    ours.fetch(2)
    quiet(ours, client.url)
    assert len(ours.got) == 2
    ours.fetch(4)
    assert sorted(ours.ids) == list("aaabbb")


def test_a_drain_returns_what_there_was_no_room_for(node: MakeNode, client: Client) -> None:
    queues = [f"{client.queue}.{n}" for n in range(3)]
    for queue in queues:
        arguments = {"x-queue-type": "quorum"}
        client.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
        client.send("a", "b", "c", queue=queue)
    ours = node(client.url).start(*queues)
    held = ours.fetch(2)  # the broker sends as many of each queue
    quiet(ours, client.url)
    ours.source.drain()
    ours.until(lambda: sum(map(client.waiting, queues)) == 7)
    quiet(ours, client.url)
    assert sum(map(client.waiting, queues)) == 7  # and none of them comes again
    ours.confirmed(ours.source.give_back, held)
    ours.until(lambda: sum(map(client.waiting, queues)) == 9)
    assert len(ours.got) == 2


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


def test_a_lost_link_is_told_once_and_its_tags_are_void(
    node: MakeNode, client: Client, rabbit_server: RabbitServer
) -> None:
    ours = node(client.url).start(client.queue)
    client.send("a", "b")
    old = ours.fetch(2)
    rabbit_server.drop_clients()
    ours.until(lambda: ours.lost)
    done: list[bool] = []
    ours.source.settle(old, lambda: done.append(True)), ours.source.fetch(GROUP, 3)
    (
        ours.source.put_aside(old[0], letter("late")),
        ours.source.add_queue(GROUP, "r"),
        ours.source.cancel_queue("r"),
    )
    ours.turn(), ours.turn()
    assert len(ours.lost) == 1
    assert not done
    new = node(client.url).start(client.queue)
    again = new.fetch(2)
    new.confirmed(new.source.settle, old)
    assert all(d.redelivered for d in again)
    assert new.source.info()["in_flight"] == 2
    assert {d.tag for d in old}.isdisjoint({d.tag for d in again})


def test_a_node_that_restarts_keeps_every_message(
    node: MakeNode, client: Client, rabbit_server: RabbitServer
) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(30))
    done = ours.fetch(10)
    ours.confirmed(ours.source.settle, done)
    ours.fetch(10)
    quiet(ours, client.url)
    rabbit_server.restart()
    ours.until(lambda: ours.lost)
    new = node(client.url).start(client.queue)
    rest: list[Delivery] = new.fetch(20)
    assert sorted(d.message.id for d in rest if d.message) == numbered(30)[10:]
    new.confirmed(new.source.settle, rest)


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


def test_a_node_that_hangs_is_noticed_by_its_heartbeat(
    node: MakeNode, client: Client, rabbit_server: RabbitServer
) -> None:
    ours = node(client.url)
    ours.connection.heartbeat = 1
    ours.start(client.queue)
    rabbit_server.pause()
    try:
        ours.until(lambda: ours.lost)
    finally:
        rabbit_server.resume()


def test_a_memory_alarm_stops_no_acknowledgement(
    node: MakeNode, client: Client, rabbit_server: RabbitServer
) -> None:
    ours = node(client.url).start(client.queue)
    client.send("a", "b", "c")
    first, second, third = ours.fetch(3)
    ours.confirmed(ours.source.put_aside, first, letter("opens the publisher's connection"))
    rabbit_server.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        done: list[str] = []
        ours.source.put_aside(second, letter("waits for memory"), lambda: done.append("aside"))
        ours.confirmed(ours.source.settle, [third])
        quiet(ours, client.url)
        assert not done
        assert not ours.lost
    finally:
        rabbit_server.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    ours.until(lambda: done)
