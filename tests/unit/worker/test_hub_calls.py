"""Calls for the next turn of the event loop, from it and from other threads."""

from __future__ import annotations

import threading

import pytest

from tests.unit.worker.hubs import broken, kombu_hub, turn
from workerd.worker.loop.hub import Hub


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
