"""The worker's life as a total table: ``decide(life, event) -> (life, commands)``.

Pure: it asks no clock and touches nothing.  Events are facts that have happened, commands are what the
worker shall do about them.  Every pair of state and event has an answer, if only "nothing".


BOOTING     steps and the first children are being started; a reload that is asked for waits for both
RUNNING     tasks are fetched and run
RELOADING   as RUNNING, while a new generation of children is being started
DRAINING    nothing is fetched; what runs may finish, what has not started is given back
STOPPING    the time to finish is over; what still runs is interrupted, and killed after one grace period
KILLING     children have been killed; waits until they are gone, at most another grace period
STOPPED     the end: the loop is left with an exit code, or the process image is replaced, unless a stop comes

A stop (TERM, INT, ``workerd stop``) drains; asked for again by a signal it goes on to STOPPING, then to
KILLING.  The deadline of the stop does the same by itself.  QUIT goes to KILLING at once.  A restart is a
drain that ends in an exec; any stop that is asked for later, or a failure, makes it a stop.  A stop overtakes
a reload.

After the last request for a reload at least one reload begins: a request that comes while one is under way
or while the daemon boots is remembered in ``Life.reload_again``.  A boot whose children cannot be started
does not end by itself, so there it begins at once.

Exit codes: 0 when all that ran was finished, or QUIT asked not to wait for it; 75 when the deadline or a
            repeated request cut work off, which has been given back; 1 when a step or the loop failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from signal import Signals
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workerd.errors import ExitCode
from workerd.worker.life.commands import (
    AbandonReload,
    BeginDrain,
    BeginReload,
    Commands,
    Dump,
    Finish,
    GiveBack,
    KillChildren,
    Refuse,
    Resize,
    SoftStop,
)


class State(Enum):
    """Where the worker is in its life."""

    BOOTING = "booting"
    RUNNING = "running"
    RELOADING = "reloading"
    DRAINING = "draining"
    STOPPING = "stopping"
    KILLING = "killing"
    STOPPED = "stopped"


UP = frozenset({State.BOOTING, State.RUNNING, State.RELOADING})
"""No stop has begun."""


class Event(Enum):
    """What has happened."""

    STARTED = "every step has started and the first children serve"
    START_FAILING = "the first children cannot be started, and are tried again"
    STOP_ASKED = "a stop was asked for"
    STOP_ASKED_AGAIN = "a stop was asked for by a signal, and one was under way"
    QUIT_ASKED = "a stop without waiting was asked for"
    RELOAD_ASKED = "a reload was asked for"
    RELOAD_DONE = "the new generation serves"
    RELOAD_FAILED = "the old code goes on serving, the new generation could not be started"
    RESTART_ASKED = "a restart was asked for, and the new code has been tried"
    GROW_ASKED = "one slot more was asked for"
    SHRINK_ASKED = "one slot less was asked for"
    DUMP_ASKED = "a dump of states and stacks was asked for"
    DRAINED = "nothing runs and nothing is unsettled"
    DEADLINE = "the time that running tasks had to finish is over"
    GRACE_OVER = "the grace period of a stop or of a kill is over"
    CHILDREN_GONE = "no child is left"
    STEP_FAILED = "a step or the loop failed"


class Life(msgspec.Struct, frozen=True):
    """The state, with the little that the next decisions depend on."""

    state: State = State.BOOTING
    reload_again: bool = False
    """A reload was asked for that none that has begun serves."""
    restart: bool = False
    """The end will be an exec."""
    code: ExitCode = ExitCode.OK
    """What the process will exit with."""
    failing: bool = False
    """The boot waits for a child that cannot be started, so a reload need not wait for the boot."""

    @property
    def stopping(self) -> bool:
        """A stop, not a restart, is under way or over."""
        return self.state in _ENDING and not self.restart


def decide(life: Life, event: Event) -> tuple[Life, Commands]:
    """The next life and what to do, in order."""
    return TABLE[life.state, event](life)


def asked_by(signum: Signals, life: Life) -> Event | None:
    """The event that a signal means; None for those that are not requests (CHLD)."""
    if signum in (Signals.SIGTERM, Signals.SIGINT):
        return Event.STOP_ASKED_AGAIN if life.stopping else Event.STOP_ASKED
    return _ASKED_BY.get(signum)


_ENDING = frozenset((State.DRAINING, State.STOPPING, State.KILLING, State.STOPPED))
_ASKED_BY = MappingProxyType(
    {
        Signals.SIGQUIT: Event.QUIT_ASKED,
        Signals.SIGHUP: Event.RELOAD_ASKED,
        Signals.SIGTTIN: Event.GROW_ASKED,
        Signals.SIGTTOU: Event.SHRINK_ASKED,
        Signals.SIGUSR1: Event.DUMP_ASKED,
        Signals.SIGUSR2: Event.RESTART_ASKED,
    }
)

Rule: TypeAlias = Callable[[Life], tuple[Life, Commands]]


def _no(life: Life) -> tuple[Life, Commands]:
    """Nothing to do."""
    return life, ()


def _up(life: Life) -> tuple[Life, Commands]:
    """Boot or reload is over; a reload that waits begins."""
    if life.reload_again:
        return _reload(life)
    return replace(life, state=State.RUNNING, failing=False), ()


def _reload(life: Life) -> tuple[Life, Commands]:
    return replace(life, state=State.RELOADING, reload_again=False, failing=False), (BeginReload(),)


def _later(life: Life) -> tuple[Life, Commands]:
    """A reload after the one under way, or after the boot."""
    return replace(life, reload_again=True), ()


def _soon(life: Life) -> tuple[Life, Commands]:
    """New code may be what lets a failing boot end; the state stays, for nothing serves yet."""
    return (life, (BeginReload(),)) if life.failing else _later(life)


def _failing_boot(life: Life) -> tuple[Life, Commands]:
    commands: Commands = (BeginReload(),) if life.reload_again else ()
    return replace(life, failing=True, reload_again=False), commands


def _drain(life: Life) -> tuple[Life, Commands]:
    first: Commands = (AbandonReload(),) if life.state is State.RELOADING else ()
    return replace(life, state=State.DRAINING, reload_again=False), (*first, BeginDrain())


def _restart(life: Life) -> tuple[Life, Commands]:
    return _drain(replace(life, restart=True))


def _fail(life: Life) -> tuple[Life, Commands]:
    return _drain(replace(life, code=ExitCode.FAILED))


def _stay(life: Life) -> tuple[Life, Commands]:
    """A stop overtakes a restart: no exec at the end."""
    return replace(life, restart=False), ()


def _soften(life: Life) -> tuple[Life, Commands]:
    return replace(life, state=State.STOPPING), (SoftStop(),)


def _hurry(life: Life) -> tuple[Life, Commands]:
    """Asked again while draining; for a restart this is the first request to stop."""
    return _stay(life) if life.restart else _soften(life)


def _kill(life: Life) -> tuple[Life, Commands]:
    code = ExitCode.GIVEN_BACK if life.code is ExitCode.OK else life.code
    return replace(life, state=State.KILLING, code=code), (KillChildren(),)


def _cut(life: Life) -> tuple[Life, Commands]:
    """Asked again while stopping; for a restart this is the first request to stop."""
    return _stay(life) if life.restart else _kill(life)


def _quit(life: Life) -> tuple[Life, Commands]:
    first: Commands = (AbandonReload(),) if life.state is State.RELOADING else ()
    ended = replace(life, state=State.KILLING, reload_again=False, restart=False)
    return ended, (*first, KillChildren())


def _failing(life: Life) -> tuple[Life, Commands]:
    """A failure on the way down: no exec of code that may be why."""
    return replace(life, restart=False, code=ExitCode.FAILED), ()


def _finish(life: Life) -> tuple[Life, Commands]:
    return replace(life, state=State.STOPPED), (Finish(life.code, life.restart),)


def _end(life: Life) -> tuple[Life, Commands]:
    """No child is left to wait for, so what they held is given back."""
    ended, commands = _finish(life)
    return ended, (GiveBack(), *commands)


def _no_boot(life: Life) -> tuple[Life, Commands]:
    """The blueprint has undone its half start: nothing is left to drain."""
    return _finish(replace(life, code=ExitCode.FAILED, reload_again=False))


def _grow(life: Life) -> tuple[Life, Commands]:
    return life, (Resize(+1),)


def _shrink(life: Life) -> tuple[Life, Commands]:
    return life, (Resize(-1),)


def _dump(life: Life) -> tuple[Life, Commands]:
    return life, (Dump(),)


def _refuse(life: Life) -> tuple[Life, Commands]:
    doing = "restarting" if life.restart else life.state.value
    return life, (Refuse(f"the daemon is {doing}"),)


# fmt: off
_ROWS: Mapping[Event, tuple[Rule, ...]] = {
    # columns:               BOOTING    RUNNING    RELOADING  DRAINING   STOPPING   KILLING    STOPPED
    Event.STARTED:          (_up,       _no,       _no,       _no,       _no,       _no,       _no),
    Event.START_FAILING:    (_failing_boot, _no,   _no,       _no,       _no,       _no,       _no),
    Event.STOP_ASKED:       (_drain,    _drain,    _drain,    _stay,     _stay,     _stay,     _stay),
    Event.STOP_ASKED_AGAIN: (_drain,    _drain,    _drain,    _hurry,    _cut,      _stay,     _stay),
    Event.QUIT_ASKED:       (_quit,     _quit,     _quit,     _quit,     _quit,     _stay,     _stay),
    Event.RELOAD_ASKED:     (_soon,     _reload,   _later,    _refuse,   _refuse,   _refuse,   _refuse),
    Event.RELOAD_DONE:      (_no,       _no,       _up,       _no,       _no,       _no,       _no),
    Event.RELOAD_FAILED:    (_no,       _no,       _up,       _no,       _no,       _no,       _no),
    Event.RESTART_ASKED:    (_restart,  _restart,  _restart,  _refuse,   _refuse,   _refuse,   _refuse),
    Event.GROW_ASKED:       (_refuse,   _grow,     _grow,     _refuse,   _refuse,   _refuse,   _refuse),
    Event.SHRINK_ASKED:     (_refuse,   _shrink,   _shrink,   _refuse,   _refuse,   _refuse,   _refuse),
    Event.DUMP_ASKED:       (_dump,     _dump,     _dump,     _dump,     _dump,     _dump,     _no),
    Event.DRAINED:          (_no,       _no,       _no,       _finish,   _finish,   _no,       _no),
    Event.DEADLINE:         (_no,       _no,       _no,       _soften,   _kill,     _no,       _no),
    Event.GRACE_OVER:       (_no,       _no,       _no,       _no,       _kill,     _end,      _no),
    Event.CHILDREN_GONE:    (_no,       _no,       _no,       _no,       _no,       _end,      _no),
    Event.STEP_FAILED:      (_no_boot,  _fail,     _fail,     _failing,  _failing,  _failing,  _no),
}
# fmt: on

TABLE: Mapping[tuple[State, Event], Rule] = MappingProxyType(
    {(state, event): rule for event, rules in _ROWS.items() for state, rule in zip(State, rules, strict=True)}
)
"""The rule for each pair; a state's place in ``State`` is its column above."""

__all__ = [
    "TABLE",
    "AbandonReload",
    "BeginDrain",
    "BeginReload",
    "Commands",
    "Dump",
    "Event",
    "Finish",
    "GiveBack",
    "KillChildren",
    "Life",
    "Refuse",
    "Resize",
    "SoftStop",
    "State",
    "asked_by",
    "decide",
]
