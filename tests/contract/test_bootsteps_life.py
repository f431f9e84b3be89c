"""The life of a blueprint: the order of the walks, its callbacks, its words in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from tests.contract.fakes import Parent, abc, made, recorder
from workerd.bootsteps import RUN, TERMINATE, Blueprint

Request = Callable[[Blueprint, Parent], None]


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


def test_hooks_of_added_steps_are_called_within_what_the_blueprint_was_given(parent: Parent) -> None:
    entered: list[str] = []

    def around(hook: str) -> AbstractContextManager[None]:
        entered.append(hook)
        return nullcontext()

    blueprint = Blueprint([recorder("Added")], "Worker", default_steps=[recorder("Own")], around=around)
    blueprint.apply(parent).start(parent)
    blueprint.stop(parent, terminate=True)
    blueprint.shutdown(parent)

    assert entered == ["start", "close", "terminate", "shutdown"]
    assert sorted(line for line in parent.journal if line.endswith("Own")) == sorted(
        f"{hook} Own" for hook in entered
    )


def test_a_blueprint_is_named_after_its_class_unless_told() -> None:
    class Mine(Blueprint):
        pass

    assert Mine().alias == "Mine"
    assert repr(Blueprint(name="proj.Worker")) == "<Blueprint: Worker (initializing)>"
