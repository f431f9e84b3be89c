"""Messages of all sizes from a real RabbitMQ, over TLS too, while the link is asked other things."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.process.source.amqp_client import Client, client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import GROUP
from tests.support.brokers import RabbitServer
from tests.support.tls import TlsDoor
from workerd.source import Delivery
from workerd.source.amqp.arrival import Arrival

__all__ = ["client"]

SIZES = (0, 10, 1000, 1000, 1000, 70_000, 131_064 - 12, 131_064, 300_000)
"""Of arguments; a frame has room for 131,064 bytes."""
COUNT = 150


@pytest.fixture(params=["plain", "tls"])
def way(
    request: pytest.FixtureRequest, rabbit_server: RabbitServer, tmp_path: Path, rng: random.Random
) -> Iterator[tuple[int, Any]]:
    """A port, and what a connection needs for TLS."""
    if request.param == "plain":
        yield rabbit_server.port, None
    else:
        with TlsDoor(rabbit_server.port, tmp_path, rng) as door:
            yield door.port, {"ca_certs": str(door.certificate), "server_hostname": "localhost"}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_every_message_comes_once_and_whole_whatever_else_goes_on(
    node: MakeNode,
    client: Client,
    rabbit_server: RabbitServer,
    way: tuple[int, Any],
    kind: str,
    rng: random.Random,
) -> None:
    client.channel.queue_declare(
        client.queue, durable=True, auto_delete=False, arguments={"x-queue-type": kind}
    )
    sizes = [rng.choice(SIZES) for _ in range(COUNT)]
    for number, size in enumerate(sizes):
        client.connection.Producer(client.channel).publish(
            json.dumps([["x" * size], {}, {}]),
            routing_key=client.queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": "proj.add", "id": str(number), "argsrepr": "y" * rng.randrange(500)},
        )
    port, tls = way
    ours = node(client.url.replace(str(rabbit_server.port), str(port)))
    ours.connection.ssl = tls
    ours.start(client.queue)
    channels = ours.source._groups._channels  # type: ignore[attr-defined]
    ways: Counter[bool] = Counter()
    held: list[Delivery] = []
    for turn in count():
        before = len(ours.got)
        ours.source.fetch(GROUP, 10)
        if turn % 3 == 1:
            # It declares, while messages come, and waits for the answers.
            ours.source.add_queue("other", f"{client.queue}.{turn}")
        ours.until(lambda before=before: len(ours.got) > before)  # type: ignore[misc]
        held += ours.got[before:]
        ways.update(type(channels[d.tag[0]].messages[d.tag[1]]) is Arrival for d in ours.got[before:])
        if len(ours.got) == COUNT:
            break
        rng.shuffle(held)
        ours.source.settle([held.pop() for _ in range(len(held) // 2)])
    ours.confirmed(ours.source.settle, held)
    assert sorted(ours.ids, key=int) == [str(number) for number in range(COUNT)]
    for delivery in ours.got:
        assert delivery.message is not None
        assert len(delivery.raw) == len('[[""], {}, {}]') + sizes[int(delivery.message.id)]
    assert ways[True]
    assert ways[False]
    assert not ours.lost
    ours.source.close()
    assert client.waiting() == 0
