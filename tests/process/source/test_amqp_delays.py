"""Messages that wait for their ETA in RabbitMQ's delay queues, as Celery has them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu.transport.native_delayed_delivery import (
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from tests.process.source.amqp_client import Client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import Node
from tests.support.brokers import RabbitServer
from workerd.source import Delivery
from workerd.source.amqp.topology import DELAY_QUEUES, DELIVERY


@pytest.fixture
def peer(rabbit_url: str) -> Iterator[Client]:
    client = Client(rabbit_url)
    yield client
    client.channel.queue_delete(client.queue)
    client.connection.release()


@pytest.fixture
def bare(peer: Client) -> Client:
    """A client of a broker that has no delay queues."""
    for name in DELAY_QUEUES:
        peer.channel.queue_delete(name)
        peer.channel.exchange_delete(name)
    peer.channel.exchange_delete(DELIVERY)
    return peer


def later(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def send(peer: Client, *ids: str, seconds: float = 600.0, queue: str | None = None, **options: Any) -> None:
    peer.send(*ids, queue=queue, headers={"task": "proj.add", "eta": later(seconds)}, **options)


def can_park(ours: Node, delivery: Delivery) -> None:
    ours.until(lambda: ours.source.can_park(delivery))


def park(ours: Node, *deliveries: Delivery) -> None:
    can_park(ours, deliveries[0])
    ours.park(*deliveries)


def test_the_delay_queues_are_made_once_a_message_needs_them_and_celery_agrees_with_them(
    node: MakeNode, bare: Client
) -> None:
    ours = node(bare.url).start(bare.queue)
    send(bare, "one")
    [delivery] = ours.fetch(1)
    assert not ours.source.can_park(delivery)
    park(ours, delivery)
    ours.until(lambda: ours.source.parked == 1)
    assert bare.waiting() == 0
    # Any other argument would be refused.
    declare_native_delayed_delivery_exchanges_and_queues(bare.connection, "quorum")


def test_delay_queues_that_celery_has_made_serve_as_they_are(node: MakeNode, bare: Client) -> None:
    declare_native_delayed_delivery_exchanges_and_queues(bare.connection, "classic")
    ours = node(bare.url).start(bare.queue)
    send(bare, "one", seconds=3)
    park(ours, *ours.fetch(1))
    ours.fetch(1)
    assert ours.ids == ["one", "one"]


def test_what_a_celery_client_delays_by_itself_comes_to_a_queue_that_nobody_has_declared_before(
    node: MakeNode, bare: Client
) -> None:
    bare.channel.queue_declare(bare.queue, durable=True, auto_delete=False, arguments=QUORUM)
    ours = node(bare.url).start(bare.queue)
    ours.until(lambda: exists(bare, DELIVERY))
    ours.until(lambda: bare.queue in ours.source._delays._bound)  # type: ignore[attr-defined]
    bare.send("one", exchange=DELAY_QUEUES[-1], queue=calculate_routing_key(1, bare.queue))
    [delivery] = ours.fetch(1)
    assert delivery.message is not None
    assert (delivery.message.exchange, delivery.message.routing_key) == ("", bare.queue)


QUORUM = {"x-queue-type": "quorum"}


def exists(peer: Client, exchange: str) -> bool:
    with peer.connection.channel() as channel:
        try:
            channel.exchange_declare(exchange, "topic", passive=True)
        except channel.connection.channel_errors:
            return False
        return True


def test_one_that_waits_for_something_else_than_its_eta_comes_when_that_is_over(
    node: MakeNode, peer: Client
) -> None:
    ours = node(peer.url).start(peer.queue)
    peer.send("turn", headers={"task": "proj.add"})
    [delivery] = ours.fetch(1)
    delivery.until = time.time() + 1.5
    park(ours, delivery)
    ours.until(lambda: peer.waiting() == 1)
    [again] = ours.fetch(1)
    assert again.message is not None and again.message.id == "turn"
    assert (again.redelivered, again.until) == (False, 0.0)


def test_a_parked_message_comes_back_as_it_was_and_not_before_long(node: MakeNode, peer: Client) -> None:
    ours = node(peer.url).start(peer.queue)
    send(peer, "one", seconds=4, expiration=1000, priority=3)
    [delivery] = ours.fetch(1)
    delivery.deaths = 2
    park(ours, delivery)
    [again] = ours.fetch(1)
    assert delivery.message is not None
    assert again.message is not None
    assert time.time() > (again.message.eta or 0) - 1.5
    assert not again.redelivered
    assert again.raw == delivery.raw
    assert again.message.deaths == 2
    assert again.message.requeued
    assert b"x-death" not in again.message.payload
    assert b"delayed" not in again.message.payload
    for name in ("id", "task", "eta", "priority", "routing_key", "exchange"):
        assert getattr(again.message, name) == getattr(delivery.message, name)


def test_one_that_has_waited_may_wait_once_more(node: MakeNode, peer: Client) -> None:
    """RabbitMQ takes a message for a loop, and drops it, that comes to one of the queues once more."""
    ours = node(peer.url).start(peer.queue)
    send(peer, "one", seconds=3.5)  # in two queues, one after the other
    [delivery] = ours.fetch(1)
    park(ours, delivery)
    [again] = ours.fetch(1)
    assert again.message is not None
    again.message.eta = time.time() + 3.5
    ours.park(again)
    ours.fetch(1)


def test_it_comes_to_no_queue_whose_name_ends_alike(node: MakeNode, peer: Client) -> None:
    tail = peer.queue.rpartition(".")[2]
    ours = node(peer.url).start(peer.queue, tail)
    send(peer, "one", seconds=2)
    deliveries = ours.fetch(1)
    ours.until(lambda: tail in ours.source._delays._bound)  # type: ignore[attr-defined]
    park(ours, *deliveries)
    [again] = ours.fetch(1)
    assert again.queue == peer.queue
    assert peer.waiting(tail) == 0
    peer.channel.queue_delete(tail)


@pytest.mark.parametrize("name", ["x" * 200, "a.#", "*"])
def test_a_queue_whose_name_cannot_be_bound_alone_keeps_its_messages(
    node: MakeNode, peer: Client, name: str
) -> None:
    ours = node(peer.url).start(name, peer.queue)
    peer.channel.queue_purge(name)
    send(peer, "one", queue=name)
    [delivery] = ours.fetch(1)
    can_park(ours, Delivery(("", 0), peer.queue, None, b""))  # others can
    assert not ours.source.can_park(delivery)
    ours.confirmed(ours.source.settle, [delivery])
    peer.channel.queue_delete(name)


def test_when_the_delay_queues_are_gone_messages_stay_and_they_are_made_again(
    node: MakeNode, peer: Client
) -> None:
    ours = node(peer.url).start(peer.queue)
    send(peer, "one", "two")
    one, two = ours.fetch(2)
    park(ours, one)
    for name in DELAY_QUEUES:
        peer.channel.queue_delete(name)
    ours.source.park(two, lambda: None, lambda: ours.refused.append(two))
    ours.until(lambda: ours.refused == [two])
    for name in DELAY_QUEUES:
        peer.channel.exchange_delete(name)
    park(ours, two)
    assert ours.source.pending == 0
    ours.until(lambda: ours.source.parked == 1)


def test_when_their_exchanges_are_gone_messages_stay_too(node: MakeNode, peer: Client) -> None:
    ours = node(peer.url).start(peer.queue)
    send(peer, "one")
    [one] = ours.fetch(1)
    can_park(ours, one)
    for name in DELAY_QUEUES:
        peer.channel.exchange_delete(name)
    ours.source.park(one, lambda: None, lambda: ours.refused.append(one))
    ours.until(lambda: ours.refused == [one])
    assert not ours.lost
    park(ours, one)


def test_who_dies_before_the_copy_is_confirmed_loses_nothing(node: MakeNode, peer: Client) -> None:
    ours = node(peer.url).start(peer.queue)
    send(peer, "one")
    [one] = ours.fetch(1)
    can_park(ours, one)
    ours.source.park(one, lambda: None, lambda: None)
    ours.close()
    other = node(peer.url).start(peer.queue)
    assert other.fetch(1)[0].redelivered


def test_who_dies_between_the_copy_and_the_acknowledgement_leaves_both(node: MakeNode, peer: Client) -> None:
    ours = node(peer.url).start(peer.queue)
    send(peer, "one", seconds=4)
    [one] = ours.fetch(1)
    can_park(ours, one)
    source: Any = ours.source
    copied: list[bool] = []
    source._copies._on_copied = lambda: copied.append(True)
    source._asked = True  # no round any more, so no acknowledgement
    ours.source.park(one, lambda: None, lambda: None)
    ours.until(lambda: copied)
    ours.connection.collect()
    other = node(peer.url).start(peer.queue)
    original, copy = other.fetch(2)
    assert original.redelivered
    assert not copy.redelivered
    assert original.message is not None
    assert copy.message is not None
    assert original.message.requeued != copy.message.requeued


def test_a_broker_that_hangs_does_not_hang_us(
    node: MakeNode, bare: Client, rabbit_server: RabbitServer
) -> None:
    ours = node(bare.url).start(bare.queue)
    send(bare, "one")
    [delivery] = ours.fetch(1)
    ours.turn()
    os.kill(rabbit_server.pid, signal.SIGSTOP)
    try:
        assert not ours.source.can_park(delivery)
        for _ in range(20):  # whoever waits for an answer loses the link
            ours.turn()
        assert not ours.lost
    finally:
        os.kill(rabbit_server.pid, signal.SIGCONT)
    park(ours, delivery)
