"""Links that break, and brokers that restart, hang or are out of memory: no message is lost."""

from __future__ import annotations

from tests.process.source.amqp_client import Client, client, quiet
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP, letter, numbered
from tests.support.brokers import RabbitServer
from workerd.source import Delivery

__all__ = ["client"]


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
