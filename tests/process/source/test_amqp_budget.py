"""One budget for all queues of a group, also where RabbitMQ has a limit for a single consumer only."""

from __future__ import annotations

import random
from functools import partial

import pytest

from tests.process.source.amqp_client import Client, client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from workerd.source import Delivery
from workerd.source.amqp.group import PATIENCE

__all__ = ["client"]

QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture
def queues(client: Client) -> list[str]:
    names = [f"{client.queue}.{n}" for n in range(3)]
    for name in names:
        client.channel.queue_declare(name, durable=True, auto_delete=False, arguments=QUORUM)
    return names


def quiet(node: Node, client: Client) -> None:
    """Turn until the broker has answered all that it was asked, and what it has sent is here."""
    for _ in range(5):
        node.turn()
        client.channel.basic_qos(0, 1, False)
    # A quorum queue may take longer for its answer than the broker does for others.
    intake = node.source._groups[GROUP].intake  # type: ignore[attr-defined]
    node.until(lambda: not intake._channel.asked)
    node.turn()


def waiting(client: Client, queues: list[str]) -> int:
    return sum(map(client.waiting, queues))


def test_the_broker_hands_out_no_more_than_the_group_has_room_for(
    node: MakeNode, client: Client, queues: list[str]
) -> None:
    for queue in queues:
        client.send(*"abcdefgh", queue=queue)
    ours = node(client.url).start(*queues)
    held = ours.fetch(4)
    quiet(ours, client)
    assert waiting(client, queues) == 20
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.settle, held[:2])
    quiet(ours, client)
    assert waiting(client, queues) == 20  # what was settled made no room
    ours.fetch(2)
    quiet(ours, client)
    assert waiting(client, queues) == 18


def test_a_limit_goes_down_at_once_and_up_only_when_half_of_the_room_would_not_do(
    node: MakeNode, client: Client
) -> None:
    client.channel.queue_declare(client.queue, durable=True, auto_delete=False)
    ours = node(client.url).start(client.queue)
    intake = ours.source._groups[GROUP].intake  # type: ignore[attr-defined]
    limits = []
    for room in (200, 150, 290, 450, 600, 64, 65, 63, 64, 0, 1):
        ours.source.fetch(GROUP, room)
        quiet(ours, client)
        limits.append(intake.limit)
    assert limits == [200, 150, 150, 450, 450, 64, 64, 63, 63, 0, 1]
    client.send(*"abc")
    quiet(ours, client)
    assert len(ours.ids) == 1
    assert client.waiting() == 2


def test_a_queue_that_is_alone_has_the_whole_budget(
    node: MakeNode, client: Client, queues: list[str]
) -> None:
    ours = node(client.url).start(*queues)
    ours.source.fetch(GROUP, 6)
    quiet(ours, client)  # all are empty, and it listens
    client.send(*"abcdef", queue=queues[1])
    ours.until(lambda: len(ours.got) == 6)
    assert {delivery.queue for delivery in ours.got} == {queues[1]}


def test_no_queue_waits_for_a_busy_one(node: MakeNode, client: Client, queues: list[str]) -> None:
    client.send(*map(str, range(300)), queue=queues[0])
    ours = node(client.url).start(*queues)
    ours.confirmed(ours.source.settle, ours.fetch(2))
    client.send("other", queue=queues[2])
    for _ in range(100):
        ours.confirmed(ours.source.settle, ours.fetch(2))
        if "other" in ours.ids:
            break
    assert "other" in ours.ids


def test_an_idle_group_is_woken_by_each_queue(node: MakeNode, client: Client, queues: list[str]) -> None:
    ours = node(client.url).start(*queues)
    for number, queue in enumerate(queues * 3):
        ours.source.fetch(GROUP, 1)
        quiet(ours, client)
        client.send(str(number), queue=queue)
        ours.until(lambda number=number: len(ours.got) == number + 1)  # type: ignore[misc]
        ours.confirmed(ours.source.settle, ours.got[-1:])
    assert ours.ids == [str(number) for number in range(9)]


def test_what_comes_at_once_from_all_queues_waits_and_then_goes_back(
    node: MakeNode, client: Client, queues: list[str], clock: FakeClock
) -> None:
    ours = node(client.url, clock=clock).start(*queues)
    ours.source.fetch(GROUP, 1)
    ours.until(lambda: ours.source._groups[GROUP].intake._turns.listening)  # type: ignore[attr-defined]
    quiet(ours, client)
    for queue in queues:
        client.send("a", "b", queue=queue)
    # One message of each queue: we have not seen yet that the first of them has come.
    eventually(lambda: waiting(client, queues) == 3)
    quiet(ours, client)
    assert len(ours.got) == 1
    clock.advance(PATIENCE)
    ours.source.fetch(GROUP, 0)
    ours.until(lambda: waiting(client, queues) == 5)
    assert len(ours.got) == 1


def test_nothing_is_lost_or_in_excess_whatever_comes_and_goes(
    node: MakeNode, client: Client, queues: list[str], rng: random.Random, rounds: int
) -> None:
    ours = node(client.url).start(*queues)
    sent, held = 0, list[Delivery]()

    def accounted(least: int) -> bool:
        ours.turn()
        return waiting(client, queues) + len(ours.got) >= least

    for _ in range(20 * rounds):
        for _ in range(rng.randrange(4)):
            client.send(str(sent), queue=rng.choice(queues))
            sent += 1
        room, before = rng.randrange(5), len(ours.got)
        ours.source.fetch(GROUP, room)
        quiet(ours, client)
        # Two more at the most are here, for the moment in which each of three queues could send the first.
        # The broker counts what waits in a quorum queue a moment later, and may have sent more by now.
        eventually(partial(accounted, sent - 2))
        assert len(ours.got) - before <= room
        held += ours.got[before:]
        done = [delivery for delivery in held if rng.random() < 0.5]
        ours.source.fetch(GROUP, 0)
        ours.confirmed(ours.source.settle, done)
        quiet(ours, client)
        held = [delivery for delivery in held if delivery not in done]
    ours.source.fetch(GROUP, sent)
    ours.until(lambda: len(ours.got) == sent)
    assert sorted(ours.ids, key=int) == [str(n) for n in range(sent)]
