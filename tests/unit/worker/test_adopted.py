"""Adopted messages outlive the supervisor as they were, and only until their fate is settled."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from tests.support.clock import FakeClock
from tests.unit.worker.test_database import HandLoop
from workerd.delivery.holding import Adopted
from workerd.protocol.message import message_from_amqp
from workerd.worker.state.adopted import AdoptedShelf
from workerd.worker.state.database import Database


def payload_of(task_id: str) -> bytes:
    headers = {"task": "proj.add", "id": task_id, "big": 2**60, "none": None}
    properties = {"content_type": "application/json", "priority": 3}
    return message_from_amqp(
        properties, headers, b"\x00raw", exchange="e", routing_key="k", redelivered=False
    ).payload


def test_a_successor_finds_what_was_not_removed(tmp_path: Path, clock: FakeClock) -> None:
    database = Database(tmp_path / "db", HandLoop())  # type: ignore[arg-type]
    database.open()
    shelf = AdoptedShelf(database, clock)
    assert shelf.put([Adopted(key, f"q.{key.decode()}", payload_of(key.decode())) for key in (b"a", b"b")])
    clock.advance(1)
    assert shelf.put([Adopted(b"c", "q.c", b"no payload"), Adopted(b"d", "q.d", payload_of("d"))])
    shelf.remove(b"b")
    database.flush()
    database._hang_up()  # killed

    successor = Database(tmp_path / "db", HandLoop())  # type: ignore[arg-type]
    successor.open()
    found = list(AdoptedShelf(successor, clock).load(UTC))
    successor.close()
    assert [(key, delivery.queue) for key, delivery in found] == [(b"a", "q.a"), (b"d", "q.d")]
    message = found[0][1].message
    assert message is not None
    assert (message.id, message.task, message.priority, message.routing_key) == ("a", "proj.add", 3, "k")
    assert message.payload == payload_of("a")
