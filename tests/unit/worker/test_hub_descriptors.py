"""Descriptors of the event loop: both directions, replaced, removed, closed, and callbacks that raise."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.worker.hubs import Pair, broken, descriptors, fill, kombu_hub, turn
from workerd.worker.loop.hub import MAX_FAILURES, Hub


def both_directions(hub: Any, pair: Pair, turn: Callable[[], Any]) -> list[str]:
    ours, theirs = pair
    fill(ours)
    seen: list[str] = []
    hub.add_reader(ours.fileno(), lambda: seen.append("read") or ours.recv(10))
    hub.add_writer(ours.fileno(), lambda: seen.append("write"))
    theirs.send(b"something to read")
    turn()
    assert seen == ["read"], "a full socket is not writable"
    while True:  # the other side makes room
        try:
            theirs.recv(1 << 20)
        except BlockingIOError:
            break
    turn()
    return seen


def test_both_directions_of_a_full_socket_work(hub: Hub, pair: Pair) -> None:
    seen = both_directions(hub, pair, lambda: turn(hub))

    assert sorted(seen[1:]) == ["read", "write"]


def test_kombus_hub_never_calls_the_writer_of_a_socket_that_it_reads(pair: Pair) -> None:
    with kombu_hub() as theirs:
        seen = both_directions(theirs, pair, theirs.run_once)

    assert "write" not in seen


@pytest.mark.parametrize("writer_first", [True, False])
def test_removing_one_direction_leaves_the_other(hub: Hub, pair: Pair, writer_first: bool) -> None:
    ours, theirs = pair
    seen: list[str] = []
    adds = [
        lambda: hub.add_reader(ours, seen.append, "read"),
        lambda: hub.add_writer(ours, seen.append, "write"),
    ]
    for add in reversed(adds) if writer_first else adds:
        add()
    theirs.send(b"x")

    turn(hub)
    assert sorted(seen) == ["read", "write"]
    hub.remove_writer(ours)
    turn(hub)
    assert seen[2:] == ["read"]
    hub.add_writer(ours, seen.append, "write")
    hub.remove_reader(ours)
    turn(hub)
    assert seen[3:] == ["write"]


def test_remove_forgets_both_directions_and_leaves_no_descriptor(hub: Hub, pair: Pair) -> None:
    ours, theirs = pair
    before = descriptors()
    hub.add_reader(ours, pytest.fail)
    hub.add_writer(ours, pytest.fail)
    theirs.send(b"x")

    hub.remove(ours)
    hub.remove(ours)
    turn(hub)

    assert descriptors() == before
    assert hub.readers == hub.writers == {}


def test_a_second_callback_for_one_direction_replaces_the_first(hub: Hub, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[str] = []
    for name in ("old", "new"):
        hub.add_reader(ours, seen.append, name)
        hub.add_writer(ours, seen.append, name)
    theirs.send(b"x")

    turn(hub)

    assert seen == ["new", "new"]


def test_a_writer_on_a_number_that_was_closed_and_opened_again_is_about_the_new_file(hub: Hub) -> None:
    old, peer = socket.socketpair()
    number = old.fileno()
    hub.add_writer(number, pytest.fail)
    new, new_peer = socket.socketpair()
    seen: list[str] = []
    with peer, new, new_peer, old:
        os.dup2(new.fileno(), number)
        hub.add_writer(number, seen.append, "new")
        new_peer.close()
        peer.close()

        turn(hub)
        hub.remove(number)

    assert seen == ["new"]


def test_a_reader_hears_of_a_hang_up(hub: Hub, pair: Pair) -> None:
    ours, theirs = pair
    seen: list[bytes] = []
    hub.add_reader(ours, lambda: seen.append(ours.recv(1)))
    theirs.close()

    turn(hub)

    assert seen == [b""]


def test_a_reader_removed_by_an_earlier_callback_of_the_turn_is_not_called(hub: Hub) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def take(mine: int) -> None:
        seen.append(mine)
        hub.remove_reader(pairs[1 - mine][0])

    for n, (ours, theirs) in enumerate(pairs):
        hub.add_reader(ours, take, n)
        theirs.send(b"x")
    turn(hub)
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()

    assert len(seen) == 1


def test_events_of_the_turn_are_not_for_a_reader_that_comes_in_it(hub: Hub) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    fresh: list[str] = []

    def replace(mine: int) -> None:
        other = pairs[1 - mine][0]
        hub.remove(other)
        hub.add_reader(other, fresh.append, "too early")
        hub.remove(pairs[mine][0])

    for n, (ours, theirs) in enumerate(pairs):
        hub.add_reader(ours, replace, n)
        theirs.send(b"x")
    turn(hub)
    early = list(fresh)
    turn(hub)
    for sock in (sock for pair in pairs for sock in pair):
        sock.close()

    assert early == []
    assert fresh == ["too early"]


def test_a_descriptor_that_is_registered_and_has_no_callback_does_not_spin(hub: Hub, pair: Pair) -> None:
    ours, theirs = pair
    hub.poller.register(ours.fileno(), hub.READ)
    theirs.send(b"x")

    turn(hub)

    assert hub.poller.poll(0) == []


def test_a_callback_that_always_raises_is_given_up(
    hub: Hub, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pair
    hub.add_reader(ours, broken)
    theirs.send(b"x")

    for _ in range(MAX_FAILURES + 5):
        turn(hub)

    assert caplog.text.count("Error in ") == MAX_FAILURES
    assert "is left alone: its callback raised 10 times" in caplog.text
    assert hub.readers == {}


def test_a_callback_that_raises_now_and_then_stays(hub: Hub, pair: Pair) -> None:
    ours, theirs = pair
    calls: list[int] = []

    def sometimes() -> None:
        calls.append(1)
        if len(calls) % MAX_FAILURES:
            raise ZeroDivisionError

    hub.add_reader(ours, sometimes)
    theirs.send(b"x")
    for _ in range(3 * MAX_FAILURES):
        turn(hub)

    assert len(calls) == 3 * MAX_FAILURES


def test_a_descriptor_closed_behind_the_hubs_back_is_forgotten(hub: Hub, pair: Pair) -> None:
    ours = pair[0]
    hub.add_writer(ours, lambda: ours.send(b""))
    ours.close()

    turn(hub)
    turn(hub)

    assert hub.writers == {}


def test_consolidate_is_refused(hub: Hub, pair: Pair) -> None:
    with pytest.raises(ValueError, match="consolidate"):
        hub.add(pair[0], print, hub.READ, consolidate=True)
