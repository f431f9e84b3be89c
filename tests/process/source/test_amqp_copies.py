"""What leaves for another queue of RabbitMQ while that queue, or the broker, takes nothing."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import pytest

from tests.process.source.amqp_client import Client, client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import letter
from tests.support.proxy import Proxy
from workerd.source.apart import RETRY

__all__ = ["client"]


def test_a_dead_queue_that_is_refused_holds_up_no_others_and_is_told_once(
    node: MakeNode, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "workerd")
    dead, other = f"{client.queue}.dead", f"{client.queue}.other"
    ours = node(client.url).start(client.queue, other)
    client.send("a", "b")
    client.send("c", queue=other)
    held = {delivery.message.id: delivery for delivery in ours.fetch(3) if delivery.message}
    # What another client holds for itself is refused to all others.
    client.channel.queue_declare(dead, exclusive=True)
    done: list[str] = []
    for name in "ab":
        ours.source.put_aside(held[name], letter("test"), lambda name=name: done.append(name))  # type: ignore[misc]
    ours.until(lambda: dead in caplog.text)
    ours.confirmed(ours.source.put_aside, held["c"], letter("test"))
    assert client.take(f"{other}.dead").headers["id"] == "c"
    assert not done
    assert ours.source.pending == 2
    client.channel.queue_delete(dead)
    ours.until(lambda: len(done) == 2, within=RETRY + 20)
    assert {client.take(dead).headers["id"] for _ in "ab"} == {"a", "b"}
    told = [record.getMessage() for record in caplog.records if dead in record.getMessage()]
    assert len(told) == 2
    assert told[0].startswith(f"Nothing can be put into queue {dead}: ")
    assert told[1].endswith(" again")


def test_nobody_connects_to_a_broker_that_does_not_answer(node: MakeNode, client: Client) -> None:
    with Proxy(urlsplit(client.url).port or 5672) as proxy:
        ours = node(proxy.url(client.url)).start(client.queue)
        client.send("a")
        [delivery] = ours.fetch(1)
        proxy.freeze()
        done: list[bool] = []
        ours.source.put_aside(delivery, letter("test"), lambda: done.append(True))
        asked = ours.source._pulse._asked  # type: ignore[attr-defined]
        ours.until(lambda: asked)
        for _ in range(20):
            ours.turn()
        assert ours.source._publisher._connection is None  # type: ignore[attr-defined]
        proxy.resume()
        ours.until(lambda: done)
        assert client.take(f"{client.queue}.dead").headers["id"] == "a"
        ours.close()
