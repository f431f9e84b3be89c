"""The worker's life: a total table, and the promises that hold along every path."""

from __future__ import annotations

import random
from itertools import product
from signal import Signals

import pytest

from workerd.errors import ExitCode
from workerd.worker.life.lifecycle import (
    TABLE,
    AbandonReload,
    BeginDrain,
    BeginReload,
    Commands,
    Dump,
    Event,
    Finish,
    GiveBack,
    KillChildren,
    Life,
    Refuse,
    Resize,
    SoftStop,
    State,
    asked_by,
    decide,
)

LIVES = [
    Life(state, reload_again, restart, code)
    for state, reload_again, restart, code in product(
        State, (False, True), (False, True), (ExitCode.OK, ExitCode.FAILED, ExitCode.GIVEN_BACK)
    )
]
UP = (State.RUNNING, State.RELOADING)
ENDING = (State.DRAINING, State.STOPPING, State.KILLING)


def run(*events: Event, life: Life | None = None) -> tuple[Life, list[Commands]]:
    """The life after these events, and what each of them called for."""
    life, seen = life or Life(), []
    for event in events:
        life, commands = decide(life, event)
        seen.append(commands)
    return life, seen


def test_every_state_has_an_answer_to_every_event() -> None:
    assert set(TABLE) == set(product(State, Event))


@pytest.mark.parametrize("life", LIVES, ids=str)
def test_every_life_goes_only_forward(life: Life) -> None:
    order = list(State)
    for event in Event:
        after, commands = decide(life, event)
        assert isinstance(commands, tuple)
        if life.state not in (State.BOOTING, *UP):
            assert order.index(after.state) >= order.index(life.state), event
        assert (after.state is State.STOPPED) == (
            life.state is State.STOPPED or any(isinstance(c, Finish) for c in commands)
        ), event


@pytest.mark.parametrize("event", Event)
def test_nothing_follows_the_end(event: Event) -> None:
    after, commands = decide(Life(State.STOPPED), event)

    assert after == Life(State.STOPPED)
    assert all(isinstance(command, Refuse) for command in commands)


def test_a_plain_life() -> None:
    life, seen = run(Event.STARTED, Event.STOP_ASKED, Event.DRAINED)

    assert life.state is State.STOPPED
    assert seen == [(), (BeginDrain(),), (Finish(ExitCode.OK),)]


def test_asked_again_a_stop_goes_soft_and_then_kills() -> None:
    again = Event.STOP_ASKED_AGAIN
    _, seen = run(Event.STARTED, Event.STOP_ASKED, again, again, again, Event.CHILDREN_GONE)

    assert seen[2:] == [
        (SoftStop(),),
        (KillChildren(),),
        (),
        (GiveBack(), Finish(ExitCode.GIVEN_BACK)),
    ]


def test_a_stop_asked_for_by_another_operator_changes_nothing() -> None:
    life, _ = run(Event.STARTED, Event.STOP_ASKED)

    assert decide(life, Event.STOP_ASKED) == (life, ())


def test_the_deadline_goes_soft_and_the_end_of_the_grace_kills() -> None:
    life, seen = run(Event.STARTED, Event.STOP_ASKED, Event.DEADLINE, Event.GRACE_OVER, Event.CHILDREN_GONE)

    assert seen[2:] == [(SoftStop(),), (KillChildren(),), (GiveBack(), Finish(ExitCode.GIVEN_BACK))]
    assert life.code is ExitCode.GIVEN_BACK


def test_tasks_that_end_within_the_grace_make_a_clean_end() -> None:
    _, seen = run(Event.STARTED, Event.STOP_ASKED, Event.DEADLINE, Event.DRAINED)

    assert seen[-1] == (Finish(ExitCode.OK),)


def test_children_that_survive_a_kill_do_not_hold_up_the_end() -> None:
    _, seen = run(Event.STARTED, Event.QUIT_ASKED, Event.GRACE_OVER)

    assert seen[-1] == (GiveBack(), Finish(ExitCode.OK))


@pytest.mark.parametrize("state", [State.BOOTING, *UP, State.DRAINING, State.STOPPING])
def test_quit_kills_at_once_and_then_gives_back(state: State) -> None:
    life, commands = decide(Life(state), Event.QUIT_ASKED)

    assert life.state is State.KILLING
    assert commands[-1] == KillChildren()
    assert decide(life, Event.CHILDREN_GONE)[1] == (GiveBack(), Finish(ExitCode.OK))


def test_a_reload_begins_and_ends() -> None:
    life, seen = run(Event.STARTED, Event.RELOAD_ASKED, Event.RELOAD_DONE)

    assert life == Life(State.RUNNING)
    assert seen == [(), (BeginReload(),), ()]


@pytest.mark.parametrize("end", [Event.RELOAD_DONE, Event.RELOAD_FAILED])
def test_requests_during_a_reload_make_one_more(end: Event) -> None:
    life, seen = run(Event.STARTED, *[Event.RELOAD_ASKED] * 4, end, end)

    assert life == Life(State.RUNNING)
    assert [command for commands in seen for command in commands] == [BeginReload()] * 2


def test_a_reload_asked_for_while_booting_begins_after_the_boot() -> None:
    life, seen = run(Event.RELOAD_ASKED, Event.STARTED)

    assert life == Life(State.RELOADING)
    assert seen == [(), (BeginReload(),)]


def test_a_reload_begins_at_once_when_the_boot_waits_for_a_child_that_cannot_start() -> None:
    life, seen = run(Event.START_FAILING, Event.RELOAD_ASKED, Event.RELOAD_FAILED, Event.RELOAD_ASKED)
    assert seen == [(), (BeginReload(),), (), (BeginReload(),)]
    assert life.state is State.BOOTING
    assert run(Event.STARTED, life=life)[0] == Life(State.RUNNING)

    _, seen = run(Event.RELOAD_ASKED, Event.START_FAILING, Event.START_FAILING)
    assert seen == [(), (BeginReload(),), ()]


def test_after_the_last_request_a_reload_begins_whatever_the_order(rng: random.Random) -> None:
    harmless = [Event.STARTED, Event.RELOAD_DONE, Event.RELOAD_FAILED, Event.GROW_ASKED, Event.DUMP_ASKED]
    for _ in range(50):
        events = rng.choices([*harmless, Event.RELOAD_ASKED], k=15)
        last = max((n for n, event in enumerate(events) if event is Event.RELOAD_ASKED), default=15)
        life, seen = run(*events, Event.STARTED, Event.RELOAD_DONE, Event.RELOAD_DONE)

        assert life == Life(State.RUNNING)
        assert last == 15 or any(BeginReload() in commands for commands in seen[last:]), events


@pytest.mark.parametrize("stop", [Event.STOP_ASKED, Event.QUIT_ASKED, Event.STEP_FAILED, Event.RESTART_ASKED])
def test_a_stop_overtakes_a_reload(stop: Event) -> None:
    life, seen = run(Event.STARTED, Event.RELOAD_ASKED, Event.RELOAD_ASKED, stop)

    assert seen[-1][0] == AbandonReload()
    assert not life.reload_again
    assert decide(life, Event.RELOAD_DONE) == (life, ())


def test_a_restart_is_a_drain_that_ends_in_an_exec() -> None:
    _, seen = run(Event.STARTED, Event.RESTART_ASKED, Event.DRAINED)

    assert seen[1:] == [(BeginDrain(),), (Finish(ExitCode.OK, restart=True),)]


@pytest.mark.parametrize("signum", [Signals.SIGTERM, Signals.SIGINT])
def test_a_stop_overtakes_a_restart_and_hurries_nothing(signum: Signals) -> None:
    life, _ = run(Event.STARTED, Event.RESTART_ASKED)

    event = asked_by(signum, life)
    assert event is Event.STOP_ASKED
    life, commands = decide(life, event)
    assert commands == ()
    assert decide(life, Event.DRAINED)[1] == (Finish(ExitCode.OK),)
    assert asked_by(signum, life) is Event.STOP_ASKED_AGAIN


@pytest.mark.parametrize("state", ENDING)
def test_asked_again_a_restart_only_becomes_a_stop(state: State) -> None:
    life, commands = decide(Life(state, restart=True), Event.STOP_ASKED_AGAIN)

    assert (life, commands) == (Life(state), ())


def test_a_restart_that_runs_out_of_time_still_restarts() -> None:
    _, seen = run(Event.STARTED, Event.RESTART_ASKED, Event.DEADLINE, Event.GRACE_OVER, Event.CHILDREN_GONE)

    assert seen[-1] == (GiveBack(), Finish(ExitCode.GIVEN_BACK, restart=True))


def test_a_failed_boot_ends_with_a_code() -> None:
    assert decide(Life(), Event.STEP_FAILED)[1] == (Finish(ExitCode.FAILED),)


@pytest.mark.parametrize("state", UP)
def test_a_failure_while_running_drains_and_ends_with_a_code(state: State) -> None:
    life, commands = decide(Life(state), Event.STEP_FAILED)

    assert commands[-1] == BeginDrain()
    assert decide(life, Event.DRAINED)[1] == (Finish(ExitCode.FAILED),)


@pytest.mark.parametrize("state", ENDING)
def test_a_failure_on_the_way_down_prevents_the_exec(state: State) -> None:
    life, commands = decide(Life(state, restart=True), Event.STEP_FAILED)

    assert commands == ()
    assert (life.restart, life.code) == (False, ExitCode.FAILED)


def test_a_failure_is_told_rather_than_what_was_given_back() -> None:
    life, _ = run(Event.STARTED, Event.STEP_FAILED, Event.DEADLINE, Event.GRACE_OVER)

    assert life.code is ExitCode.FAILED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(("event", "by"), [(Event.GROW_ASKED, 1), (Event.SHRINK_ASKED, -1)])
def test_slots_are_added_and_taken_only_while_up(state: State, event: Event, by: int) -> None:
    life, commands = decide(Life(state), event)

    assert life == Life(state)
    expected = Resize(by) if state in UP else Refuse(f"the daemon is {state.value}")
    assert commands == (expected,)


@pytest.mark.parametrize("state", ENDING)
@pytest.mark.parametrize("event", [Event.RELOAD_ASKED, Event.RESTART_ASKED])
def test_what_comes_too_late_is_refused_with_the_reason(state: State, event: Event) -> None:
    assert decide(Life(state), event)[1] == (Refuse(f"the daemon is {state.value}"),)
    assert decide(Life(state, restart=True), event)[1] == (Refuse("the daemon is restarting"),)


@pytest.mark.parametrize("state", [state for state in State if state is not State.STOPPED])
def test_a_dump_is_always_possible(state: State) -> None:
    assert decide(Life(state), Event.DUMP_ASKED) == (Life(state), (Dump(),))


@pytest.mark.parametrize("event", [Event.DRAINED, Event.DEADLINE, Event.GRACE_OVER, Event.CHILDREN_GONE])
def test_facts_of_a_stop_mean_nothing_while_there_is_none(event: Event) -> None:
    for state in (State.BOOTING, *UP):
        assert decide(Life(state), event) == (Life(state), ())


@pytest.mark.parametrize(
    ("signum", "event"),
    [
        (Signals.SIGTERM, Event.STOP_ASKED),
        (Signals.SIGINT, Event.STOP_ASKED),
        (Signals.SIGQUIT, Event.QUIT_ASKED),
        (Signals.SIGHUP, Event.RELOAD_ASKED),
        (Signals.SIGTTIN, Event.GROW_ASKED),
        (Signals.SIGTTOU, Event.SHRINK_ASKED),
        (Signals.SIGUSR1, Event.DUMP_ASKED),
        (Signals.SIGUSR2, Event.RESTART_ASKED),
        (Signals.SIGCHLD, None),
    ],
)
def test_signals_mean_what_the_manual_says(signum: Signals, event: Event | None) -> None:
    assert asked_by(signum, Life(State.RUNNING)) is event


def test_every_path_reaches_the_end_once_a_stop_is_asked_for(rng: random.Random) -> None:
    for _ in range(50):
        life, _ = run(*rng.choices(list(Event), k=rng.randrange(20)))
        life, _ = run(
            Event.STOP_ASKED, Event.DEADLINE, Event.GRACE_OVER, Event.GRACE_OVER, Event.GRACE_OVER, life=life
        )
        assert life.state is State.STOPPED
