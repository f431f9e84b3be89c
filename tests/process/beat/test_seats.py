"""The seat at a real broker: one holds it, who has lost it publishes nothing, and both or neither is kept."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from kombu import Exchange, Queue

from tests.support.eventually import eventually
from workerd import App
from workerd.app.sending.outlet.base import Posting
from workerd.beat.calls import posting_of
from workerd.beat.record import Record
from workerd.beat.seat import Seat, open_seat
from workerd.errors import WorkerdError
from workerd.schedules import Entry, schedule

LEASE = 1.0
Sit = Callable[[str], Seat]


@pytest.fixture(params=["redis", "rabbitmq"])
def app(request: pytest.FixtureRequest) -> Iterator[App]:
    name = "redis_url" if request.param == "redis" else "rabbit_url"
    unique = f"seats{time.monotonic_ns()}"
    with App(unique, broker=request.getfixturevalue(name), task_default_queue=unique) as app:
        yield app


@pytest.fixture
def sit(app: App) -> Iterator[Sit]:
    """``sit("a")``: a seat of the app's cluster; all are left at the end."""
    seats: list[Seat] = []

    def one(node: str) -> Seat:
        seats.append(open_seat(app, str(app.main), node, LEASE))
        return seats[-1]

    yield one
    for seat in seats:
        seat.close()


def record(total: int) -> Record:
    return Record("every 1 s", 1000.0 + total, total, 1000.0)


def posting(app: App, tick: float, **options: Any) -> Posting:
    entry = Entry("tick", "seats.tick", schedule(1), options=options)
    return posting_of(app, entry, str(app.main), tick)


def waiting(app: App, queue: str) -> int:
    """How many messages wait in ``queue``."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, durable=True, auto_delete=False).message_count)


def test_one_holds_the_seat_and_the_next_knows_what_was_sent(app: App, sit: Sit) -> None:
    one, other = sit("a"), sit("b")
    eventually(one.hold)
    one.read()
    assert not other.hold()
    assert one.put("tick", record(1), posting(app, 1.0))
    assert one.put("tick", record(2), posting(app, 2.0, priority=5))
    assert waiting(app, str(app.main)) >= 1
    one.release()
    assert eventually(other.hold, within=10.0)
    assert other.fresh
    state = other.read()
    assert state.entries == {"tick": record(2)}
    assert state.leader in ("a", "b")  # on Redis who has the seat, on RabbitMQ who has used it


def test_who_has_lost_the_seat_sends_nothing(app: App, sit: Sit) -> None:
    one, other = sit("a"), sit("b")
    eventually(one.hold)
    assert one.put("tick", record(1), posting(app, 1.0))
    if (fd := one.fileno()) is not None:
        # As a cut of the network would: the broker ends the connection, and this side has not heard of it.
        link = socket.socket(fileno=fd)
        link.shutdown(socket.SHUT_RD)
        link.shutdown(socket.SHUT_WR)
        link.detach()
    assert eventually(other.hold, within=20.0)
    other.read()
    with nullcontext() if fd is None else pytest.raises(WorkerdError), app.broker.reaching():
        assert not one.put("tick", record(2), posting(app, 2.0))
    assert waiting(app, str(app.main)) == 1
    assert other.read().entries == {"tick": record(1)}


def test_a_tick_may_go_through_an_exchange(app: App, sit: Sit) -> None:
    direct = Exchange(f"{app.main}x", type="direct")
    queue = Queue(f"{app.main}q", direct, routing_key="tock")
    with app.connection_for_write() as connection:
        queue(connection.default_channel).declare()
    seat = sit("a")
    eventually(seat.hold)
    assert seat.put("tick", record(1), posting(app, 1.0, exchange=direct.name, routing_key="tock"))
    assert waiting(app, queue.name) == 1
    assert seat.read().entries == {"tick": record(1)}


def test_a_pause_reaches_whoever_holds_the_seat_and_outlives_it(app: App, sit: Sit) -> None:
    sit("operator").pause("tick", True)
    seat = sit("a")
    eventually(seat.hold)
    seat.read()
    assert eventually(seat.paused) == {"tick"}
    sit("operator").pause("tick", False)
    eventually(lambda: seat.hold() and not seat.paused())
    sit("operator").pause("tick", True)
    eventually(lambda: seat.hold() and seat.paused())
    seat.release()
    heir = sit("b")
    eventually(heir.hold)
    assert heir.read().paused == ["tick"]
