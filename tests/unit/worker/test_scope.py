"""A scope: what one generation registers ends with it, and only that."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.hubs import Pair, turn
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.scope import Scope


def register_everything(scope: Scope, pair: Pair, call: Callable[..., Any]) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    scope.add_reader(ours, call, "reader")
    scope.add_writer(ours, call, "writer")
    scope.call_soon(call, "soon")
    scope.call_later(0, call, "later")
    scope.call_at(0, call, "at")
    scope.call_repeatedly(0, call, "repeatedly")
    scope.timer.call_after(0, call, ("after",))
    scope.timer.enter_after(0, scope.timer.Entry(call, ("entered",)))
    scope.timer.enter_at(scope.timer.Entry(call, ("entered at",)))
    scope.on_tick.add(lambda: call("tick"))


def test_everything_that_is_registered_works(hub: Hub, scope: Scope, pair: Pair) -> None:
    seen: list[str] = []
    register_everything(scope, pair, seen.append)

    turn(hub)

    assert sorted(seen) == sorted(
        ["reader", "writer", "soon", "later", "at", "repeatedly", "after", "entered", "entered at", "tick"]
    )


def test_after_a_close_nothing_fires(hub: Hub, scope: Scope, pair: Pair) -> None:
    seen: list[str] = []
    register_everything(scope, pair, seen.append)

    scope.close()
    scope.close()
    turn(hub)

    assert seen == []
    assert hub.readers == hub.writers == {}
    assert hub.on_tick == set()
    assert hub.timer.wait() is None


@pytest.mark.parametrize("closer", ["soon", "timer", "tick", "reader"])
def test_a_close_in_the_middle_of_a_turn_silences_the_rest_of_it(
    hub: Hub, scope: Scope, pair: Pair, closer: str
) -> None:
    other, peer = socket.socketpair()
    peer.send(b"x")
    closers: dict[str, Callable[[], Any]] = {
        "soon": lambda: hub.call_soon(scope.close),
        "timer": lambda: hub.timer.call_after(0, scope.close, priority=-1),
        "tick": lambda: hub.on_tick.add(scope.close),
        "reader": lambda: hub.add_reader(other, scope.close),
    }
    closers[closer]()
    seen: list[str] = []
    register_everything(scope, pair, seen.append)
    stages = {"soon": "soon", "later": "timer", "tick": "tick", "reader": "reader"}
    after = list(stages)[list(stages.values()).index(closer) + 1 :]

    turn(hub)
    before = list(seen)
    turn(hub)
    other.close()
    peer.close()

    assert not set(after) & set(before)
    assert seen == before


def test_what_is_registered_after_the_close_is_ignored(hub: Hub, scope: Scope, pair: Pair) -> None:
    scope.close()
    register_everything(scope, pair, pytest.fail)
    scope.poller.register(pair[0], hub.READ)

    turn(hub)

    assert hub.poller.poll(0) == []
    assert len(scope.timer) == 0


def test_what_others_registered_goes_on(hub: Hub, scope: Scope, pair: Pair, clock: FakeClock) -> None:
    seen: list[str] = []
    register_everything(scope, pair, pytest.fail)
    hub.add_writer(pair[1], seen.append, "writer")
    hub.call_soon(seen.append, "soon")
    hub.call_repeatedly(1, seen.append, "timer")
    hub.on_tick.add(lambda: seen.append("tick"))

    scope.close()
    clock.advance(1)
    turn(hub)

    assert sorted(seen) == ["soon", "tick", "timer", "writer"]


def test_a_number_that_is_another_parts_by_now_is_left_alone(hub: Hub, scope: Scope, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []
    scope.add_reader(ours, pytest.fail)
    scope.add_writer(ours, pytest.fail)
    scope.poller.register(ours, hub.READ)
    hub.add_reader(ours, seen.append, "theirs")  # as after a close by the transport and an accept by the hub
    hub.add_writer(ours, seen.append, "theirs")
    theirs.send(b"x")

    scope.remove(ours)
    scope.close()
    turn(hub)

    assert seen == ["theirs", "theirs"]


def test_one_direction_can_be_removed(hub: Hub, scope: Scope, pair: Pair) -> None:
    seen: list[str] = []
    scope.add_reader(pair[0], seen.append, "reader")
    scope.add_writer(pair[0], seen.append, "writer")
    pair[1].send(b"x")

    scope.remove_writer(pair[0])
    turn(hub)
    scope.remove_reader(pair[0])
    turn(hub)

    assert seen == ["reader"]


def test_scopes_follow_each_other_on_the_same_descriptor(hub: Hub, pair: Pair) -> None:
    seen: list[str] = []
    pair[1].send(b"x")
    old, new = Scope(hub, print), Scope(hub, print)
    old.add_reader(pair[0], seen.append, "old")
    old.close()
    new.add_reader(pair[0], seen.append, "new")
    old.remove(pair[0])

    turn(hub)

    assert seen == ["new"]


def test_a_scope_can_stop_the_hub(hub: Hub, scope: Scope) -> None:
    scope.call_soon(scope.stop, 6)

    assert hub.run() == 6


def test_callbacks_of_the_close_are_called_with_the_scope(hub: Hub, scope: Scope) -> None:
    seen: list[Scope] = []
    scope.on_close.add(seen.append)

    scope.close()
    scope.close()

    assert seen == [scope]
    assert "closed" in repr(scope)


def test_the_tick_set_is_a_set(hub: Hub, scope: Scope) -> None:
    seen: list[int] = []

    def tick() -> None:
        seen.append(1)

    scope.on_tick.add(tick)
    scope.on_tick.add(tick)
    assert tick in scope.on_tick
    assert list(scope.on_tick) == [tick]
    turn(hub)
    scope.on_tick.discard(tick)
    scope.on_tick.discard(tick)
    turn(hub)

    assert seen == [1]


def test_the_timer_shows_and_clears_only_its_own(hub: Hub, scope: Scope, clock: FakeClock) -> None:
    fired: list[str] = []
    hub.call_later(1, fired.append, "hub")
    entry = scope.call_later(1, pytest.fail)

    assert [item[2] for item in scope.timer.queue] == [entry]
    assert len(scope.timer) == 1
    scope.timer.clear()
    clock.advance(1)
    turn(hub)

    assert fired == ["hub"]


def test_a_fired_entry_is_not_kept(hub: Hub, scope: Scope) -> None:
    for _ in range(100):
        scope.call_later(0, int)
    turn(hub)

    assert len(scope.timer) == 0


def test_polling_the_scope_sees_only_its_own_sockets(hub: Hub, scope: Scope, pair: Pair) -> None:
    other, peer = socket.socketpair()
    with other, peer:
        hub.add_reader(other, print)
        peer.send(b"x")
        scope.poller.register(pair[0], hub.READ)

        assert scope.poller.poll(0) == []
        pair[1].send(b"x")
        assert scope.poller.poll(0) == [(pair[0].fileno(), hub.READ)]
        scope.poller.unregister(pair[0])
        assert scope.poller.poll(0) == []


def test_a_socket_that_the_poller_watches_is_dropped_at_the_close(hub: Hub, scope: Scope, pair: Pair) -> None:
    scope.poller.register(pair[0], hub.READ)
    pair[1].send(b"x")

    scope.close()

    assert hub.poller.poll(0) == []
