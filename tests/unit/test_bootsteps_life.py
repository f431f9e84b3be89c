"""The life of a blueprint: order of the walks, half starts, re-entrant requests, log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.bootsteps_fakes import Parent, asks, made, raiser, recorder
from workerd.bootsteps import CLOSE, RUN, TERMINATE, Blueprint, State

Request = Callable[[Blueprint, Parent], None]


@pytest.fixture
def parent() -> Parent:
    return Parent()


def abc(parent: Parent, **reactions: dict[str, Callable[[Any], Any]]) -> Blueprint:
    """A blueprint of A, B and C; ``b={"start": f}`` makes B react."""
    labels = "ABC"
    return made(
        *(recorder(label, reactions=reactions.get(label.lower(), {})) for label in labels), parent=parent
    )


def test_start_goes_in_order_stop_in_reverse_with_a_close_before(parent: Parent) -> None:
    blueprint = abc(parent)

    blueprint.start(parent)
    assert (blueprint.state, blueprint.started, blueprint.human_state()) == (RUN, 3, "running")
    blueprint.stop(parent)

    assert parent.journal[:3] == ["start A", "start B", "start C"]
    assert parent.journal[3:6] == ["close A", "close B", "close C"]
    assert parent.journal[6:] == ["stop C", "stop B", "stop A"]
    assert blueprint.state is TERMINATE


def test_terminate_reaches_each_steps_own_terminate(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    blueprint.stop(parent, terminate=True)

    assert parent.journal[-3:] == ["terminate C", "terminate B", "terminate A"]


def test_a_half_start_is_undone_in_reverse_and_the_error_goes_up_as_it_is(parent: Parent) -> None:
    error = OSError("no room")
    blueprint = abc(parent, c={"start": raiser(error)})

    with pytest.raises(OSError, match="no room") as caught:
        blueprint.start(parent)

    assert caught.value is error
    assert error.__notes__ == ["raised by the start of C, a step of the Worker blueprint"]
    assert parent.journal == ["start A", "start B", "start C", "stop B", "stop A"]
    assert blueprint.state is State.INIT


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_half_start_is_undone_for_every_kind_of_exception(parent: Parent, error: BaseException) -> None:
    blueprint = abc(parent, b={"start": raiser(error)})

    with pytest.raises(type(error)):
        blueprint.start(parent)

    assert parent.journal == ["start A", "start B", "stop A"]


def test_an_error_while_a_half_start_is_undone_is_logged_and_hides_nothing(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    blueprint = abc(parent, a={"stop": raiser(ValueError("worse"))}, b={"start": raiser(OSError("first"))})

    with pytest.raises(OSError, match="first"):
        blueprint.start(parent)

    assert "Error on stopping A: ValueError('worse')" in caplog.text


def test_a_blueprint_whose_start_failed_may_start_again(parent: Parent) -> None:
    errors = [OSError("once")]
    blueprint = abc(parent, b={"start": lambda parent: errors and raiser(errors.pop())(parent)})

    with pytest.raises(OSError, match="once"):
        blueprint.start(parent)
    blueprint.start(parent)

    assert blueprint.state is RUN
    assert parent.journal[-3:] == ["start A", "start B", "start C"]


@pytest.mark.parametrize("hook", ["close", "stop", "terminate", "shutdown"])
@pytest.mark.parametrize("error", [RuntimeError("stuck"), SystemExit(3)], ids=repr)
def test_an_error_on_the_way_down_is_logged_and_holds_up_nothing(
    parent: Parent, hook: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    blueprint = abc(parent, b={hook: raiser(error)})
    blueprint.start(parent)

    blueprint.stop(parent, terminate=hook == "terminate")
    blueprint.shutdown(parent)

    assert f"B: {error!r}" in caplog.text
    stops = [line for line in parent.journal if line.startswith(("stop", "terminate"))]
    assert [line[-1] for line in stops] == ["C", "B", "A"]
    assert parent.journal[-3:] == ["shutdown C", "shutdown B", "shutdown A"]
    assert blueprint.state is TERMINATE


@pytest.mark.parametrize("name", ["start", "close", "stop", "terminate", "shutdown"])
def test_a_request_made_twice_is_carried_out_once(parent: Parent, name: str) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)
    getattr(blueprint, name)(parent)
    before = list(parent.journal)

    getattr(blueprint, name)(parent)

    assert parent.journal == before


def test_a_stop_before_the_start_prevents_it(parent: Parent) -> None:
    blueprint = abc(parent)

    blueprint.stop(parent)
    blueprint.start(parent)

    assert parent.journal == []
    assert blueprint.state is TERMINATE
    assert blueprint.join(0)


def test_a_start_after_a_stop_does_nothing(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)
    blueprint.stop(parent)
    before = list(parent.journal)

    blueprint.start(parent)

    assert parent.journal == before


def test_a_close_is_followed_by_a_stop_without_a_second_close(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    blueprint.close(parent)
    assert (blueprint.state, blueprint.human_state()) == (CLOSE, "closing")
    blueprint.stop(parent)

    assert parent.journal.count("close A") == 1
    assert parent.journal[-1] == "stop A"


def test_a_stop_without_close_skips_the_close(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    blueprint.stop(parent, close=False)

    assert parent.journal[3:] == ["stop C", "stop B", "stop A"]


@pytest.mark.parametrize("hook", ["close", "stop", "shutdown"])
@pytest.mark.parametrize("name", ["start", "close", "stop", "shutdown", "restart"])
def test_a_request_from_within_a_walk_never_walks_twice(parent: Parent, hook: str, name: str) -> None:
    blueprint = abc(parent, b={hook: asks(name)})
    blueprint.start(parent)

    blueprint.shutdown(parent)

    assert sorted(parent.journal) == sorted(
        f"{done} {label}" for done in ("start", "close", "stop", "shutdown") for label in "ABC"
    )
    assert parent.journal[-3:] == ["shutdown C", "shutdown B", "shutdown A"]


def test_a_stop_from_within_a_start_ends_the_start_and_stops_what_runs(parent: Parent) -> None:
    blueprint = abc(parent, b={"start": asks("stop")})

    blueprint.start(parent)

    assert parent.journal == ["start A", "start B", "close A", "close B", "stop B", "stop A"]
    assert blueprint.state is TERMINATE


def test_a_stop_from_within_a_start_that_then_fails_is_not_forgotten(parent: Parent) -> None:
    def stop_and_fail(parent: Any) -> None:
        blueprint.stop(parent)
        raise OSError("too late")

    blueprint = abc(parent, b={"start": stop_and_fail})

    with pytest.raises(OSError, match="too late"):
        blueprint.start(parent)

    assert parent.journal == ["start A", "start B", "stop A"]
    assert blueprint.state is TERMINATE


def test_a_terminate_from_within_a_stop_is_taken_up_for_the_steps_that_remain(parent: Parent) -> None:
    blueprint = abc(parent, c={"stop": asks("terminate")})
    blueprint.start(parent)

    blueprint.stop(parent)

    assert parent.journal[-3:] == ["stop C", "terminate B", "terminate A"]


def test_a_shutdown_stops_first_and_reaches_steps_that_never_started(parent: Parent) -> None:
    blueprint = abc(parent)

    blueprint.shutdown(parent)
    blueprint.shutdown(parent)

    assert parent.journal == ["shutdown C", "shutdown B", "shutdown A"]


def test_an_interrupt_out_of_a_stop_leaves_the_rest_to_the_next_stop(parent: Parent) -> None:
    interrupts = [KeyboardInterrupt()]
    blueprint = abc(parent, b={"stop": lambda parent: interrupts and raiser(interrupts.pop())(parent)})
    blueprint.start(parent)

    with pytest.raises(KeyboardInterrupt):
        blueprint.stop(parent)
    blueprint.stop(parent)

    assert parent.journal[-3:] == ["stop C", "stop B", "stop A"]
    assert blueprint.join(0)


def test_a_restart_stops_in_reverse_and_may_start_again(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    blueprint.restart(parent)
    assert (blueprint.state, blueprint.started) == (State.INIT, 0)
    blueprint.start(parent)

    assert parent.journal[3:] == ["stop C", "stop B", "stop A", "start A", "start B", "start C"]


def test_a_restart_after_a_half_start_stops_nothing_twice(parent: Parent) -> None:
    blueprint = abc(parent, b={"start": raiser(OSError())})
    with pytest.raises(OSError):
        blueprint.start(parent)
    before = list(parent.journal)

    blueprint.restart(parent)

    assert parent.journal == before


def test_a_restart_from_within_a_start_undoes_it(parent: Parent) -> None:
    blueprint = abc(parent, c={"start": asks("restart")})

    blueprint.start(parent)

    assert parent.journal[3:] == ["stop C", "stop B", "stop A"]
    assert blueprint.state is State.INIT


def test_a_stop_from_within_a_restart_wins(parent: Parent) -> None:
    blueprint = abc(parent, c={"stop": asks("stop")})
    blueprint.start(parent)

    blueprint.restart(parent)
    blueprint.start(parent)

    assert parent.journal[3:] == ["stop C", "stop B", "stop A"]
    assert blueprint.state is TERMINATE


def test_a_restart_after_a_stop_does_nothing(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)
    blueprint.stop(parent)

    blueprint.restart(parent)

    assert blueprint.state is TERMINATE


def test_callbacks_come_once_each_and_pair_up(parent: Parent) -> None:
    told: list[str] = []
    blueprint = made(
        recorder("A"),
        parent=parent,
        on_start=lambda: told.append("start"),
        on_close=lambda: told.append("close"),
        on_stopped=lambda: told.append("stopped"),
    )

    blueprint.start(parent)
    blueprint.close(parent)
    blueprint.stop(parent)
    blueprint.stop(parent)

    assert told == ["start", "close", "stopped"]


def test_on_stopped_is_not_called_without_a_start(parent: Parent) -> None:
    told: list[str] = []
    blueprint = made(recorder("A"), parent=parent, on_stopped=lambda: told.append("stopped"))

    blueprint.stop(parent)

    assert told == []


@pytest.mark.parametrize("error", [RuntimeError("callback"), SystemExit(3)], ids=repr)
def test_a_failing_callback_holds_up_no_stop(
    parent: Parent, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    blueprint = made(recorder("A"), parent=parent, on_close=fail, on_stopped=fail)
    blueprint.start(parent)
    blueprint.stop(parent)

    assert parent.journal[-1] == "stop A"
    assert f"Error on closing the Worker blueprint: {error!r}" in caplog.text


def test_entries_of_none_among_the_steps_are_passed_over(parent: Parent) -> None:
    blueprint = abc(parent)
    parent.steps.insert(1, None)

    blueprint.start(parent)
    blueprint.send_all(parent, "close")
    blueprint.stop(parent)

    assert parent.journal[-1] == "stop A"
    assert blueprint.info(parent) == {}


def test_send_all_passes_arguments_and_skips_steps_without_the_method(parent: Parent) -> None:
    got: list[Any] = []
    listens = {"register_with_event_loop": lambda self, parent, hub: got.append((self.alias, hub))}
    blueprint = made(recorder("A", **listens), recorder("B"), recorder("C", **listens), parent=parent)

    blueprint.send_all(parent, "register_with_event_loop", args=("hub",))
    assert got == [("C", "hub"), ("A", "hub")]
    blueprint.send_all(parent, "register_with_event_loop", args=("hub",), reverse=False)
    assert got[2:] == [("A", "hub"), ("C", "hub")]


def test_send_all_raises_unless_told_to_log(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    blueprint = abc(parent, b={"close": raiser(RuntimeError("no"))})

    with pytest.raises(RuntimeError, match="no"):
        blueprint.send_all(parent, "close")
    blueprint.send_all(parent, "close", "closing", propagate=False)

    assert "Error on closing B: RuntimeError('no')" in caplog.text


def test_info_is_merged(parent: Parent) -> None:
    blueprint = made(
        recorder("A", info=lambda self, parent: {"a": 1}),
        recorder("B", info=lambda self, parent: None),
        recorder("C", info=lambda self, parent: {"c": 3}),
        parent=parent,
    )

    assert blueprint.info(parent) == {"a": 1, "c": 3}


def test_join_waits_for_the_end_of_the_stop(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    assert blueprint.join(0) is False
    blueprint.stop(parent)
    assert blueprint.join(0) is True


def test_an_error_in_init_names_the_step(parent: Parent) -> None:
    def fail(self: Any, parent: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        made(recorder("Odd", __init__=fail), parent=parent)

    assert caught.value.__notes__ == ["raised while Odd, a step of the Worker blueprint, was made"]


def test_the_log_reads_as_in_the_guide(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "workerd.bootsteps")
    hub = recorder("Hub", close=None, shutdown=None)
    blueprint = made(hub, recorder("event loop", last=True, requires=("Hub",)), parent=parent)

    blueprint.start(parent)
    blueprint.restart(parent)
    blueprint.start(parent)
    blueprint.stop(parent)
    blueprint.shutdown(parent)

    started = ["| Worker: Starting Hub", "^-- substep ok", "| Worker: Starting event loop", "^-- substep ok"]
    assert [record.getMessage() for record in caplog.records] == [
        "| Worker: Preparing bootsteps.",
        "| Worker: Building graph...",
        "| Worker: New boot order: {Hub, event loop}",
        *started,
        "| Worker: Restarting event loop...",
        "| Worker: Restarting Hub...",
        *started,
        "| Worker: Closing event loop...",
        "| Worker: Stopping event loop...",
        "| Worker: Stopping Hub...",
        "| Worker: Shutdown event loop...",
    ]


def test_the_log_of_a_cold_stop_says_terminating(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "workerd.bootsteps")
    blueprint = abc(parent)

    blueprint.start(parent)
    blueprint.terminate(parent)

    assert "| Worker: Terminating A..." in caplog.text


def test_a_blueprint_is_named_after_its_class_unless_told() -> None:
    class Mine(Blueprint):
        pass

    assert Mine().alias == "Mine"
    assert repr(Blueprint(name="proj.Worker")) == "<Blueprint: Worker (initializing)>"
