"""Requests to a blueprint: twice, too early, too late, and from within a step that is being walked over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.fakes import Parent, abc, asks
from workerd.bootsteps import CLOSE, TERMINATE, Blueprint, State

Request = Callable[[Blueprint, Parent], None]


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


def test_a_restart_stops_in_reverse_and_may_start_again(parent: Parent) -> None:
    blueprint = abc(parent)
    blueprint.start(parent)

    blueprint.restart(parent)
    assert (blueprint.state, blueprint.started) == (State.INIT, 0)
    blueprint.start(parent)

    assert parent.journal[3:] == ["stop C", "stop B", "stop A", "start A", "start B", "start C"]


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
