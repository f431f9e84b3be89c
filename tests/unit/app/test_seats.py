"""Connections to publish from: how many there are at most, who gets which, and what an error leaves."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.app.mail import memory_app
from workerd.app.sending.connection import BrokerConnection
from workerd.app.sending.seats import Seats


def connect() -> BrokerConnection:
    with memory_app() as app:
        return app.broker.connection()


def test_the_seat_that_was_given_back_last_is_taken_first() -> None:
    seats = Seats(connect, 3)
    with seats.taken() as first, seats.taken() as second:
        assert first is not second
    with seats.taken() as again:
        assert again is first
    seats.close()


def test_who_comes_when_all_are_taken_waits_for_one() -> None:
    seats, found, asked = Seats(connect, 1), [], threading.Event()

    def another() -> None:
        asked.set()
        with seats.taken() as seat:
            found.append(seat)

    thread = threading.Thread(target=another)
    with seats.taken() as seat:
        thread.start()
        assert asked.wait(10)
        assert not found
    thread.join(10)
    assert found == [seat]


def test_a_connection_that_cannot_be_had_costs_no_seat() -> None:
    def refuse() -> Any:
        raise OSError("nobody is there")

    seats = Seats(refuse, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="nobody"), seats.taken():
            pass


@pytest.mark.parametrize("limit", [1, None])
def test_after_an_error_the_connection_is_opened_anew(limit: int | None) -> None:
    seats = Seats(connect, limit)
    with pytest.raises(RuntimeError), seats.taken() as seat:
        before = seat.connection.default_channel
        raise RuntimeError
    assert before.closed or seat.connection._closed
    with seats.taken() as again:
        assert again.connection.default_channel is not before
        assert (again is seat) == bool(limit)


def test_without_a_limit_each_seat_is_used_once() -> None:
    seats = Seats(connect, None)
    with seats.taken() as first:
        assert first.connection.connect()
    assert not first.connection.connected
    with seats.taken() as second:
        assert second is not first


def test_closing_leaves_seats_that_can_be_used_again() -> None:
    seats = Seats(connect, 2)
    with seats.taken() as seat:
        seat.connection.connect()
    seats.close(patience=1.0)  # which is for sockets of AMQP
    assert not seat.connection.connected
    with seats.taken() as one, seats.taken() as other:
        assert one is not other
