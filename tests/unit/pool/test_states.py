"""The tables of children and templates are total and go forward only."""

from __future__ import annotations

from itertools import product

from workerd_pool.states import (
    CHILD_TABLE,
    TEMPLATE_TABLE,
    ChildEvent,
    ChildState,
    Command,
    TemplateEvent,
    TemplateState,
)


def test_every_pair_of_a_child_has_an_answer() -> None:
    assert set(CHILD_TABLE) == set(product(ChildState, ChildEvent))


def test_every_pair_of_a_template_has_an_answer() -> None:
    assert set(TEMPLATE_TABLE) == set(product(TemplateState, TemplateEvent))


def test_nothing_leads_back_from_leaving() -> None:
    for (state, _), (then, _) in CHILD_TABLE.items():
        assert then >= state or (state, then) == (ChildState.BUSY, ChildState.IDLE)
    for (template_state, _), (template_then, _) in TEMPLATE_TABLE.items():
        assert template_then >= template_state


def test_the_dead_are_told_nothing() -> None:
    for event in ChildEvent:
        assert CHILD_TABLE[ChildState.EXITED, event] == (ChildState.EXITED, ())
    for template_event in TemplateEvent:
        assert TEMPLATE_TABLE[TemplateState.EXITED, template_event] == (TemplateState.EXITED, ())


def test_a_kill_reaches_whoever_has_a_pid() -> None:
    for state in (ChildState.BOOTING, ChildState.IDLE, ChildState.BUSY, ChildState.DRAINING):
        assert CHILD_TABLE[state, ChildEvent.KILL] == (ChildState.TERMINATING, (Command.KILL,))


def test_a_child_without_pid_is_hung_up_and_killed_when_its_pid_comes() -> None:
    assert CHILD_TABLE[ChildState.FORKING, ChildEvent.KILL] == (ChildState.TERMINATING, (Command.HANG_UP,))
    assert CHILD_TABLE[ChildState.TERMINATING, ChildEvent.FORKED] == (ChildState.TERMINATING, (Command.KILL,))


def test_a_busy_child_that_is_retired_gets_a_drain_and_no_kill() -> None:
    assert CHILD_TABLE[ChildState.BUSY, ChildEvent.RETIRE] == (ChildState.DRAINING, (Command.DRAIN,))
    assert CHILD_TABLE[ChildState.DRAINING, ChildEvent.FREED] == (ChildState.DRAINING, ())
