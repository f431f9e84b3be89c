"""What callbacks of a scope may raise: which errors mean a lost link, which are told, which end the loop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Empty
from typing import Any

import amqp
import pytest
import redis

from tests.unit.worker.hubs import Pair, turn
from workerd.worker.link_errors import is_link_error
from workerd.worker.loop.hub import MAX_FAILURES, Hub
from workerd.worker.loop.scope import Scope


def raiser(exc: BaseException) -> Callable[[], None]:
    def broken() -> None:
        raise exc

    return broken


def test_a_lost_link_is_reported_once(hub: Hub, scope: Scope, lost: list[BaseException]) -> None:
    first = ConnectionResetError("peer went away")
    scope.call_soon(raiser(first))
    scope.call_later(0, raiser(BrokenPipeError()))

    turn(hub)

    assert lost == [first]


@pytest.mark.parametrize("way", ["reader", "soon", "timer", "repeatedly", "tick"])
def test_a_lost_link_is_heard_of_from_every_kind_of_callback(
    hub: Hub, scope: Scope, lost: list[BaseException], pair: Pair, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = raiser(TimeoutError("silence"))
    ways: dict[str, Callable[[], Any]] = {
        "reader": lambda: scope.add_reader(pair[0], broken),
        "soon": lambda: scope.call_soon(broken),
        "timer": lambda: scope.call_later(0, broken),
        "repeatedly": lambda: scope.call_repeatedly(0, broken),
        "tick": lambda: scope.on_tick.add(broken),
    }
    pair[1].send(b"x")
    ways[way]()

    turn(hub)

    assert [str(exc) for exc in lost] == ["silence"]
    assert caplog.records == []


def test_the_scope_may_be_closed_by_the_report(hub: Hub, pair: Pair) -> None:
    reports: list[BaseException] = []

    def end(exc: BaseException) -> None:
        reports.append(exc)
        scope.close()

    scope = Scope(hub, end)
    pair[1].send(b"x")
    scope.add_reader(pair[0], raiser(ConnectionAbortedError()))
    scope.call_repeatedly(0, raiser(ConnectionAbortedError()))

    turn(hub)
    turn(hub)

    assert len(reports) == 1
    assert hub.timer.wait() is None


def test_other_errors_are_logged_by_the_callbacks_name(
    hub: Hub, scope: Scope, lost: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    scope.call_soon(raiser(FileNotFoundError("settings.ini")))
    scope.call_later(0, raiser(KeyError("user's")))

    turn(hub)

    assert lost == []
    assert caplog.text.count(f"Error in {__name__}.raiser.<locals>.broken") == 2


def test_that_nothing_has_come_is_no_error_and_the_descriptor_is_kept(
    hub: Hub, scope: Scope, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    calls: list[int] = []

    def look() -> None:
        calls.append(1)
        raise Empty  # as kombu's Redis transport does

    scope.add_reader(ours, look)
    for _ in range(MAX_FAILURES + 2):
        turn(hub)
    assert len(calls) >= MAX_FAILURES + 1
    assert caplog.records == []


def test_a_transport_may_name_errors_of_its_own(hub: Hub, scope: Scope, lost: list[BaseException]) -> None:
    scope.errors = (LookupError,)
    scope.call_soon(raiser(KeyError("odd transport")))

    turn(hub)

    assert len(lost) == 1


def test_system_exit_in_a_scope_stops_the_hub(hub: Hub, scope: Scope) -> None:
    scope.call_soon(raiser(SystemExit(4)))

    assert hub.run() == 4


@pytest.mark.parametrize(
    "exc",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        EOFError(),
        OSError(113, "No route to host"),
        OSError("Server unexpectedly closed connection"),
        socket.gaierror("no such host"),
        amqp.exceptions.ConnectionForced("closing"),
        amqp.exceptions.RecoverableConnectionError("gone"),
        redis.ConnectionError("gone"),
        redis.TimeoutError("slow"),
    ],
)
def test_these_mean_a_lost_link(exc: Exception) -> None:
    assert is_link_error(exc)


@pytest.mark.parametrize(
    "exc",
    [OSError(28, "No space left"), FileNotFoundError(), KeyError("x"), redis.ResponseError("WRONGTYPE")],
)
def test_these_do_not(exc: Exception) -> None:
    assert not is_link_error(exc)
