"""Acknowledgements in few frames, and queues whose consumer RabbitMQ itself has ended."""

from __future__ import annotations

import logging
import random

import pytest
from msgspec.structs import replace

from tests.process.source.amqp_client import Client, client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, letter
from workerd.source.amqp.cancellations import RETRY

__all__ = ["client"]


def frames(node: Node) -> tuple[int, int]:
    """Messages that were acknowledged, and the frames that it took."""
    info = node.source.info()
    return info["acknowledged"], info["ack_frames"]


def consumed(node: Node, client: Client, queue: str) -> None:
    """Turn until the broker has our consumer of ``queue``, with the limit that it shall have."""
    intake = node.source._groups[GROUP].intake  # type: ignore[attr-defined]
    for _ in range(3):
        node.until(lambda: intake._consumers.tag(queue))
        client.channel.basic_qos(0, 1, False)
        node.turn()


@pytest.mark.parametrize("arguments", [{}, {"x-queue-type": "quorum"}], ids=["classic", "quorum"])
def test_what_ends_in_its_order_is_acknowledged_by_one_frame_a_round(
    node: MakeNode, client: Client, arguments: dict[str, object]
) -> None:
    client.channel.queue_declare(client.queue, durable=True, auto_delete=False, arguments=arguments)
    client.send(*map(str, range(100)))
    ours = node(client.url).start(client.queue)
    held = ours.fetch(100)
    ours.confirmed(ours.source.settle, held[1:3])
    assert frames(ours) == (2, 2)  # the first goes on, so each has a frame of its own
    ours.confirmed(ours.source.settle, [held[0], *held[3:99]])
    assert frames(ours) == (99, 3)
    ours.source.close()
    other = node(client.url).start(client.queue)
    other.fetch(1)
    assert other.ids == ["99"]
    assert client.waiting() == 0


@pytest.mark.parametrize("arguments", [{}, {"x-queue-type": "quorum"}], ids=["classic", "quorum"])
def test_exactly_what_was_not_settled_comes_again(
    node: MakeNode, client: Client, arguments: dict[str, object], rng: random.Random
) -> None:
    client.channel.queue_declare(client.queue, durable=True, auto_delete=False, arguments=arguments)
    client.send(*map(str, range(200)))
    ours = node(client.url).start(client.queue)
    held = ours.fetch(150)  # the other fifty have not come, or are not given to the consumer
    rng.shuffle(held)
    back, settled, kept = held[:20], held[20:120], held[120:]
    while settled:
        size = rng.randrange(1, 12)
        ours.confirmed(ours.source.settle, settled[:size])
        del settled[:size]
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.give_back, back)
    ours.source.close()
    other = node(client.url).start(client.queue)
    other.fetch(100)
    unsettled = [d.message.id for d in back + kept if d.message]
    assert sorted(other.ids, key=int) == sorted([*unsettled, *map(str, range(150, 200))], key=int)
    assert client.waiting() == 0


@pytest.mark.parametrize("queues", [1, 2])
def test_a_queue_that_is_deleted_is_consumed_again_and_told_once(
    node: MakeNode, client: Client, queues: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workerd")
    names = [f"{client.queue}.{n}" for n in range(queues)]
    for name in names:
        client.channel.queue_declare(
            name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )
    ours = node(client.url).start(*names)
    client.send("a", queue=names[0])
    ours.fetch(1)
    ours.source.fetch(GROUP, queues)
    consumed(ours, client, names[0])
    client.channel.queue_delete(names[0])
    ours.until(lambda: ours.source.info()["cancelled"])
    client.send("b", queue=names[0])
    ours.until(lambda: ours.ids == ["a", "b"])
    ours.confirmed(ours.source.settle, ours.got)  # the first one's queue is gone, and that is no error
    assert not ours.lost
    assert ours.source.info()["cancelled"] == {names[0]: 1}
    told = [record.getMessage() for record in caplog.records if names[0] in record.getMessage()]
    assert len(told) == 2
    assert "has ended the consuming" in told[0]
    assert "is consumed again" in told[1]


def test_a_queue_that_is_refused_is_tried_again_while_others_are_served(
    node: MakeNode, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    other = f"{client.queue}.other"
    ours = node(client.url).start(client.queue, other)
    ours.source.fetch(GROUP, 2)
    consumed(ours, client, other)
    # What another client holds for itself is refused to all others.
    client.channel.queue_delete(client.queue)
    client.channel.queue_declare(client.queue, exclusive=True)
    ours.until(lambda: ours.source.info()["refused"])
    client.send("a", queue=other)
    ours.until(lambda: ours.ids == ["a"])
    client.channel.queue_delete(client.queue)
    ours.until(lambda: not ours.source.info()["refused"], within=RETRY + 20)
    client.send("b")
    ours.until(lambda: ours.ids == ["a", "b"])
    assert not ours.lost
    assert len([r for r in caplog.records if "is not consumed" in r.getMessage()]) == 1


def test_what_is_adopted_is_published_again_as_it_was(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    odd = {"task": "proj.add", "mine": [1, {"x": None}], "big": 2**60}
    client.send(
        "a", "b", headers=odd, priority=4, correlation_id="c", expiration=3600, timestamp=1_795_000_000
    )
    held = ours.fetch(2)
    ours.confirmed(ours.source.settle, held)
    ours.source.fetch(GROUP, 0)
    back, aside = (replace(one, tag=("adopted", one.raw), adopted=True) for one in held)
    aside.tag = ("adopted", b"another")
    back.deaths = 1
    ours.confirmed(ours.source.give_back, [back])
    ours.confirmed(ours.source.put_aside, aside, letter("it kills"))
    came, dead = client.take(client.queue), client.take(f"{client.queue}.dead")
    assert came.body.encode() == dead.body.encode() == held[0].raw
    assert came.headers == odd | {"id": "a", "x-workerd-deaths": 1, "redelivered": True}
    assert dead.headers["id"] == "b"
    assert dead.headers["x-workerd-reason"] == "it kills"
    properties = came.properties
    assert (properties["priority"], properties["correlation_id"]) == (4, "c")
    assert (properties["expiration"], properties["timestamp"]) == ("3600000", 1_795_000_000)
    assert client.take(client.queue) is None
