"""Messages that are held for long do not keep later ones from being acknowledged together."""

from __future__ import annotations

import random

import pytest

from tests.process.source.amqp_client import Client, client, quiet
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, Node, numbered
from tests.support.eventually import eventually
from workerd.source import Delivery
from workerd.source.amqp.moves import CHANNELS, WORTH

__all__ = ["client"]

QUORUM = {"x-queue-type": "quorum"}
KINDS = {"classic": (1, {}), "quorum": (1, QUORUM), "three quorum": (3, QUORUM)}


@pytest.fixture(params=KINDS)
def queues(client: Client, request: pytest.FixtureRequest) -> list[str]:
    """One or several; where RabbitMQ has limits for single consumers only, several take turns."""
    number, arguments = KINDS[request.param]
    names = [f"{client.queue}.{n}" for n in range(number)]
    for name in names:
        client.channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
    return names


def send(client: Client, ids: list[str], queues: list[str]) -> None:
    for number, queue in enumerate(queues):
        client.send(*ids[number :: len(queues)], queue=queue)


def waiting(client: Client, queues: list[str]) -> int:
    return sum(map(client.waiting, queues))


def eager(node: Node) -> None:
    """Let it move as soon as anything goes alone."""
    node.source._groups[GROUP]._moves.worth = 1  # type: ignore[attr-defined]


def go_by(node: Node, count: int, at_once: int = 16) -> None:
    """Fetch and settle so many, in their order."""
    for _ in range(0, count, at_once):
        node.confirmed(node.source.settle, node.fetch(at_once))


def test_what_passes_messages_that_are_held_is_acknowledged_together(
    node: MakeNode, client: Client, queues: list[str]
) -> None:
    alone, later = WORTH + 2 * 16, 640
    send(client, numbered(8 + alone + later), queues)
    ours = node(client.url).start(*queues)
    parked = ours.fetch(8)
    go_by(ours, alone)
    ours.until(lambda: ours.source.info()["channels"] == 2)
    before = ours.source.info()
    go_by(ours, later)
    after = ours.source.info()
    assert after["acknowledged"] - before["acknowledged"] == later
    # One frame for each sixteen, but for a few that come in another order from several queues.
    assert after["ack_frames"] - before["ack_frames"] <= later / 8
    ours.confirmed(ours.source.settle, parked)
    ours.until(lambda: ours.source.info()["channels"] == 1)
    assert ours.source.info()["acknowledged"] == 8 + alone + later
    assert len(set(ours.ids)) == len(ours.ids)
    ours.source.close()
    eventually(lambda: waiting(client, queues) == 0)
    assert not ours.lost


@pytest.mark.parametrize("queues", ["classic", "three quorum"], indirect=True)
def test_no_more_is_handed_out_than_before(node: MakeNode, client: Client, queues: list[str]) -> None:
    send(client, numbered(60), queues)
    ours = node(client.url).start(*queues)
    eager(ours)
    held, passed = ours.fetch(4), ours.fetch(6)
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.settle, passed)
    ours.source.fetch(GROUP, 3)
    ours.until(lambda: len(ours.got) == 13)
    quiet(ours, client.url)
    assert ours.source.info()["channels"] == 2
    ours.source.fetch(GROUP, 0)
    ours.confirmed(ours.source.settle, held[:2])
    quiet(ours, client.url)
    assert len(ours.got) == 13
    assert ours.source.info()["in_flight"] == 5


def test_what_older_channels_hold_can_be_given_back_and_comes_again(
    node: MakeNode, client: Client, queues: list[str]
) -> None:
    send(client, numbered(30), queues)
    ours = node(client.url).start(*queues)
    eager(ours)
    held = ours.fetch(5)
    go_by(ours, 20, at_once=4)
    assert ours.source.info()["channels"] > 1
    ours.confirmed(ours.source.give_back, held)
    ours.fetch(10)
    back = set(ours.ids[:5])
    again = [d for d in ours.got[25:] if d.message and d.message.id in back]
    assert len(again) == len(back) == 5
    assert all(delivery.redelivered for delivery in again)
    ours.confirmed(ours.source.settle, ours.got[25:])
    ours.until(lambda: ours.source.info()["channels"] == 1)


def test_channels_are_few_however_much_is_held(node: MakeNode, client: Client) -> None:
    ours = node(client.url).start(client.queue)
    client.send(*numbered(5 * CHANNELS))
    eager(ours)
    held = []
    for _ in range(2 * CHANNELS):
        first, second = ours.fetch(2)
        held.append(first)
        ours.confirmed(ours.source.settle, [second])
    assert ours.source.info()["channels"] == CHANNELS
    ours.confirmed(ours.source.settle, held)
    ours.until(lambda: ours.source.info()["channels"] == 1)
    ours.fetch(CHANNELS)
    ours.source.close()
    assert client.waiting() == CHANNELS


def test_a_quorum_queue_that_is_added_is_consumed_over_the_older_channels_too(
    node: MakeNode, client: Client
) -> None:
    other = f"{client.queue}.quorum"
    client.channel.queue_declare(other, durable=True, auto_delete=False, arguments=QUORUM)
    ours = node(client.url).start(client.queue)
    eager(ours)
    client.send(*numbered(20))
    held = ours.fetch(2)
    go_by(ours, 8, at_once=4)
    assert ours.source.info()["channels"] == 2
    ours.confirmed(ours.source.settle, held)  # the first channel is free again, and has a limit for all of it
    ours.source.add_queue(GROUP, other)
    client.send(*numbered(20, "o"), queue=other)
    first = ours.fetch(1)
    go_by(ours, 16, at_once=4)
    ours.confirmed(ours.source.settle, first)
    go_by(ours, 13, at_once=1)
    assert sorted(ours.ids) == sorted([*numbered(20), *numbered(20, "o")])
    ours.source.fetch(GROUP, 1)
    quiet(ours, client.url)  # all are empty, and it listens
    client.send("late", queue=other)
    ours.until(lambda: ours.ids[-1] == "late")
    assert not ours.lost


def test_nothing_is_lost_or_repeated_whenever_the_link_dies(
    node: MakeNode, client: Client, queues: list[str], rng: random.Random, rounds: int
) -> None:
    sent = numbered(
        60
    )  # with more, RabbitMQ loses acknowledgements for quorum queues when their channel ends
    for _ in range(3 * rounds):
        send(client, sent, queues)
        ours = node(client.url).start(*queues)
        eager(ours)
        held: list[Delivery] = []
        settled: set[str] = set()
        for _ in range(rng.randrange(2, 40)):
            before = len(ours.got)
            ours.source.fetch(GROUP, rng.randrange(4))
            for _ in range(rng.randrange(3)):
                ours.turn()
            held += ours.got[before:]
            done = [delivery for delivery in held if rng.random() < 0.4]
            held = [delivery for delivery in held if delivery not in done]
            act = rng.choice([ours.source.settle, ours.source.settle, ours.source.give_back])
            ours.confirmed(act, done)
            if act == ours.source.settle:
                settled |= {delivery.message.id for delivery in done if delivery.message}
        ours.source.fetch(GROUP, 0)
        quiet(ours, client.url)  # else what was written last may be lost with the link
        ours.connection.collect()
        other = node(client.url).start(*queues)
        other.fetch(len(sent) - len(settled))
        assert sorted(other.ids) == sorted(set(sent) - settled)
        other.confirmed(other.source.settle, other.got)
        other.source.close()
        eventually(lambda: waiting(client, queues) == 0)
