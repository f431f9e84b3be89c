"""Messages in and out of RabbitMQ: fetched as there is room, settled, and given back."""

from __future__ import annotations

from tests.process.source.amqp_client import Client, client, quiet
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, numbered

__all__ = ["client"]


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
