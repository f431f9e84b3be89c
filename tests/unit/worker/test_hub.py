"""The event loop: what kombu's cannot do, with a test of each, and what it can."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu.asynchronous import Hub as KombuHub

from tests.support.clock import FakeClock
from workerd.worker.hub import MAX_FAILURES, Hub
from workerd.worker.naming import callback_name
from workerd.worker.timer import Timer

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def hub(clock: FakeClock) -> Iterator[Hub]:
    hub = Hub(Timer(now=clock.now))
    yield hub
    hub.dispose()


@pytest.fixture
def pair() -> Iterator[Pair]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b


@contextlib.contextmanager
def kombu_hub() -> Iterator[Any]:
    hub = KombuHub()
    try:
        yield hub
    finally:
        hub.close()


def turn(hub: Any) -> None:
    """One turn that does not sleep: a call from outside ``run`` wakes the poller."""
    hub.call_soon(int)
    hub.turn()


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def fill(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while sock.send(b"x" * 65536):
            pass


# -- timers: kombu fires ten in a turn ------------------------------------------------------------


def test_all_35_due_timers_fire_in_one_turn(hub: Hub, clock: FakeClock) -> None:
    fired: list[int] = []
    for n in range(35):
        hub.call_later(1, fired.append, n)
    clock.advance(1)

    turn(hub)

    assert fired == list(range(35))


def test_kombus_hub_fires_only_ten() -> None:
    with kombu_hub() as theirs:
        fired: list[int] = []
        for n in range(35):
            theirs.call_at(0, fired.append, n)

        theirs.fire_timers()

        assert len(fired) == 10


def test_a_hub_never_sleeps_while_a_timer_is_due(hub: Hub, clock: FakeClock) -> None:
    slept: list[float | None] = []
    real, hub.poller = hub.poller, Poller(slept)
    fired: list[str] = []
    hub.call_later(0, lambda: hub.call_later(0, fired.append, "chained"))

    hub.turn()
    hub.turn()

    hub.poller = real
    assert slept == [0.0, None]
    assert fired == ["chained"]


def test_an_idle_hub_sleeps_until_the_next_deadline(hub: Hub) -> None:
    slept: list[float | None] = []
    real, hub.poller = hub.poller, Poller(slept)

    hub.turn()
    hub.call_later(40, print)
    hub.turn()
    hub.on_tick.add(lambda: hub.call_later(3, print))
    hub.turn()
    hub.timer.clear()
    hub.on_tick.clear()
    hub.call_later(1e12, print)
    hub.turn()

    hub.poller = real
    assert slept == [None, 40.0, 3.0, 86_400.0]


def test_a_timer_that_an_earlier_one_cancels_does_not_fire(hub: Hub) -> None:
    late = hub.call_later(0, pytest.fail)
    hub.timer.call_after(0, late.cancel, priority=-1)

    turn(hub)


def test_a_timer_that_raises_leaves_the_others_alone(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    fired: list[str] = []
    hub.call_later(0, broken)
    hub.call_later(0, fired.append, "next")

    turn(hub)

    assert fired == ["next"]
    assert f"Error in {__name__}.broken: ZeroDivisionError('odd')" in caplog.text


# -- descriptors: kombu drops a writer on a descriptor that has a reader ---------------------------


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


# -- call_soon: in kombu one that raises drops its batch ---------------------------------------------


def broken() -> None:
    raise ZeroDivisionError("odd")


def test_a_call_that_raises_never_drops_its_batch(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    for n in range(10):
        hub.call_soon(broken)
        hub.call_soon(done.append, n)

    turn(hub)

    assert done == list(range(10)), "all of them, in the order in which they were asked for"
    assert caplog.text.count("Error in ") == 10


def test_kombus_hub_drops_the_batch() -> None:
    with kombu_hub() as theirs:
        done: list[int] = []
        for n in range(10):
            theirs.call_soon(broken)
            theirs.call_soon(done.append, n)

        with pytest.raises(ZeroDivisionError):
            theirs.run_once()
        theirs.call_soon(done.append, 10)
        theirs.run_once()

        assert len(done) < 11


def test_calls_that_calls_add_are_for_the_next_turn(hub: Hub) -> None:
    done: list[str] = []
    hub.call_soon(lambda: hub.call_soon(done.append, "next"))

    turn(hub)
    assert done == []
    turn(hub)
    assert done == ["next"]


def test_a_call_can_be_taken_back(hub: Hub) -> None:
    hub.call_soon(pytest.fail).cancel()

    turn(hub)


def test_a_call_from_another_thread_wakes_the_loop(hub: Hub) -> None:
    caller = threading.Thread(target=hub.call_soon, args=(hub.stop, 3))
    hub.call_soon(caller.start)

    assert hub.run() == 3
    caller.join()


# -- guard and stop -----------------------------------------------------------------------------------


def test_a_tick_that_raises_is_logged_by_name_and_the_loop_goes_on(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.on_tick.add(broken)
    hub.call_later(0, hub.stop)

    hub.run()

    assert f"Error in {__name__}.broken" in caplog.text


@pytest.mark.parametrize(("raised", "code"), [(SystemExit(7), 7), (SystemExit(), 0), (SystemExit("bad"), 1)])
@pytest.mark.parametrize("way", ["timer", "soon", "tick", "descriptor"])
def test_system_exit_stops_the_loop_with_its_code(
    hub: Hub, pair: Pair, way: str, raised: SystemExit, code: int
) -> None:
    def leave() -> None:
        raise raised

    ways: dict[str, Callable[[], Any]] = {
        "timer": lambda: hub.call_later(0, leave),
        "soon": lambda: hub.call_soon(leave),
        "tick": lambda: hub.on_tick.add(leave),
        "descriptor": lambda: hub.add_writer(pair[0], leave),
    }
    ways[way]()

    assert hub.run() == code


def test_a_stop_before_the_run_counts(hub: Hub) -> None:
    hub.stop(5)

    assert hub.run() == 5


def test_a_stop_does_not_make_turns_outside_the_run_spin(hub: Hub) -> None:
    hub.stop()
    slept: list[float | None] = []
    real, hub.poller = hub.poller, Poller(slept)

    hub.call_later(9, print)
    hub.turn()

    hub.poller = real
    assert slept == [9.0]


def test_a_hub_can_run_again_and_the_first_code_counts(hub: Hub) -> None:
    hub.call_soon(hub.stop, 1)
    hub.call_soon(hub.stop, 2)
    assert hub.run() == 1
    hub.call_soon(hub.stop)
    assert hub.run() is None


def test_kombus_names_for_running_work(hub: Hub) -> None:
    hub.call_soon(hub.stop)
    hub.run_forever()
    done: list[int] = []
    hub.call_soon(done.append, 1)
    hub.run_once()

    assert done == [1]


def test_a_hub_is_never_reset(hub: Hub) -> None:
    with pytest.raises(RuntimeError, match="close the scope"):
        hub.reset()


def test_disposing_twice_leaves_no_descriptor(pair: Pair) -> None:
    before = descriptors()
    hub = Hub()
    hub.add_reader(pair[0], print)
    hub.add_writer(pair[0], print)

    hub.dispose()
    hub.close()

    assert descriptors() == before


def test_callbacks_are_named_through_their_wrappers(hub: Hub, clock: FakeClock) -> None:
    timer = hub.timer.call_repeatedly(1, partial(broken))

    assert callback_name(timer) == f"{__name__}.broken"
    assert callback_name(hub.call_soon(broken)) == f"{__name__}.broken"
    assert callback_name(hub.stop) == "workerd.worker.hub.Hub.stop"
    assert callback_name(object) == "builtins.object"
    assert callback_name(3) == "3"


class Poller:
    """A poller that writes down how long it was told to sleep."""

    def __init__(self, slept: list[float | None]) -> None:
        self.slept = slept

    def poll(self, timeout: float | None) -> list[Any]:
        self.slept.append(timeout)
        return []
