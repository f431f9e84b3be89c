"""The event loop: its timers, what ends it, and what its callbacks may raise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.worker.hubs import Pair, Poller, broken, descriptors, kombu_hub, turn
from workerd.worker.loop.hub import Hub
from workerd.worker.loop.naming import callback_name


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
    assert f"Error in {broken.__module__}.broken: ZeroDivisionError('odd')" in caplog.text


def test_a_tick_that_raises_is_logged_by_name_and_the_loop_goes_on(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.on_tick.add(broken)
    hub.call_later(0, hub.stop)

    hub.run()

    assert f"Error in {broken.__module__}.broken" in caplog.text


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

    assert callback_name(timer) == f"{broken.__module__}.broken"
    assert callback_name(hub.call_soon(broken)) == f"{broken.__module__}.broken"
    assert callback_name(hub.stop) == "workerd.worker.loop.hub.Hub.stop"
    assert callback_name(object) == "builtins.object"
    assert callback_name(3) == "3"
