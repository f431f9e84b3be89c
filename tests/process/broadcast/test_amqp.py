"""AmqpBroadcast against a real RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from tests.process.broadcast.turned import Turned
from workerd.broadcast import Exchange, Heard, Notice, Station
from workerd.broadcast import amqp as broadcast_amqp
from workerd.broadcast.amqp import AmqpBroadcast
from workerd.source.amqp.link import AmqpLink


class Side(Turned):
    """One node: a connection that is read in a hub, and the broadcast over it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connection: Any = Connection(url)
        self.connection.connect()
        self.link = AmqpLink(self.connection.connection, self.hub, self._lost)
        self.link.start()
        self.broadcast = AmqpBroadcast(self.connection, self.hub)
        self.heard: list[Heard] = []

    def _lost(self, reason: str) -> None:
        raise AssertionError(f"lost: {reason}")

    def close(self) -> None:
        self.broadcast.close()
        self.broadcast.close()
        self.link.stop()
        self.connection.release()
        self.dispose()


@pytest.fixture
def sides(rabbit_url: str) -> Iterator[list[Side]]:
    made = [Side(rabbit_url), Side(rabbit_url)]
    yield made
    for side in made:
        side.close()


def test_one_tells_and_the_other_hears_until_it_listens_no_more(sides: list[Side]) -> None:
    mouth, ear = sides
    name = f"ev.{uuid.uuid4().hex[:8]}"
    exchange = Exchange(name, "topic", durable=True)
    mouth.broadcast.declare(exchange)
    end = ear.broadcast.listen(Station(exchange, f"{name}.x", "worker.#"), ear.heard.append)
    for key in ("task.multi", "worker.online"):  # nobody hears the first one, and that costs nothing
        mouth.broadcast.tell(Notice(name, key, b'{"n": 1}', {"hostname": "w@h"}))
    mouth.until(lambda: mouth.broadcast._flying == 0)
    ear.until(lambda: ear.heard)
    [heard] = ear.heard
    assert (heard.key, heard.value(["json"]), heard.headers) == (
        "worker.online",
        {"n": 1},
        {"hostname": "w@h"},
    )
    end()
    end()
    mouth.broadcast.tell(Notice(name, "worker.online", b"{}"))
    mouth.until(lambda: mouth.broadcast._flying == 0)
    assert mouth.broadcast.dropped == 0


def test_what_is_told_last_leaves_before_the_link_goes(sides: list[Side]) -> None:
    mouth, ear = sides
    name = f"ev.{uuid.uuid4().hex[:8]}"
    exchange = Exchange(name, "fanout")
    ear.broadcast.listen(Station(exchange, f"{name}.x"), ear.heard.append)
    mouth.broadcast.tell(Notice(name, "", b"1"))
    mouth.until(lambda: mouth.broadcast._flying == 0)
    mouth.broadcast.tell(Notice(name, "", b"2"))
    mouth.broadcast.close()
    ear.until(lambda: [heard.body for heard in ear.heard] == [b"1", b"2"])


def test_a_name_that_is_in_use_is_told_and_taken_when_it_is_free(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broadcast_amqp, "AGAIN", 0.05)
    first, second = sides
    name = f"box.{uuid.uuid4().hex[:8]}"
    station = Station(Exchange(name, "fanout"), f"main@h.{name}")
    free = first.broadcast.listen(station, first.heard.append)
    second.broadcast.listen(station, second.heard.append)
    assert "another node seems to have this node's name" in caplog.text
    second.until(lambda: len(second.broadcast._retries) == 1)
    free()
    second.until(lambda: not second.broadcast._retries)
    first.broadcast.tell(Notice(name, "", b"x"))
    first.until(lambda: first.broadcast._flying == 0)
    second.until(lambda: second.heard)
    assert first.heard == []
    assert caplog.text.count("seems to have") == 1
