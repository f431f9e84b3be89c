"""stress_step: call a step's hooks as a daemon may, and worse, and see that nothing goes wrong or is left.

The step gets a real worker (or consumer) whose other steps are made.  Those that it requires are started,
save those that would need a server or start processes: the pool is there, and has no children, and the
connection of a consumer is one to a broker in memory, unless a real one is named.

Units: seconds.
"""

from __future__ import annotations

import logging
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workerd.app import App
from workerd.bootsteps import Blueprint, ConsumerStep, Step
from workerd.clock import SystemClock
from workerd.config import Config
from workerd.testing.leftovers import Held
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.consumer.consumer import Consumer
from workerd.worker.loop.scope import Scope
from workerd.worker.steps.unstarted import unstarted

if TYPE_CHECKING:
    from workerd.worker.loop.hub import Hub

ROUNDS = 20
HOUR = 3600.0
MEMORY = "memory://"
LEFT_ALONE = frozenset({"Hub", "Broker", "Results", "Pool", "Autoreloader", "Beat", "Socket", "Consumer"})
"""They take over signals, need a server, or start something outside this process."""


def stress_step(
    step: type[Step],
    *,
    blueprint: str | None = None,
    app: App | None = None,
    broker: str = MEMORY,
    rounds: int = ROUNDS,
    seed: int | None = None,
    **options: Any,
) -> None:
    """Make ``step`` in each round anew and call its hooks in a random order, also from within the event loop.

    ``stop`` and its like come before a start and any number of times after one, timers run early, and a
    consumer step lives through several connections.  ``blueprint`` is ``worker`` or ``consumer``; left out it
    is ``consumer`` for a ConsumerStep.  ``options`` reach ``__init__`` as those of the command line would.
    With the URL of a real ``broker``, the consumer's own steps that yours requires (Events, Tasks ...) are
    started too, and not only the connection.

    Errors: AssertionError, with the calls that led to it and the seed that repeats them, when a hook or a
    callback raises, or when the step leaves something behind after its stop.
    """
    __tracebackhide__ = True  # pytest shows the author's own frames
    place = blueprint or ("consumer" if issubclass(step, ConsumerStep) else "worker")
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    chance = random.Random(seed)
    for _ in range(rounds):
        with _made(step, place, app or App("stress"), broker, options) as bench:
            try:
                bench.play(chance)
            except (Exception, SystemExit) as exc:  # noqa: BLE001 (what is wrong with the step)
                found = isinstance(exc, _FoundError)
                told = str(exc) if found or isinstance(exc, AssertionError) else repr(exc)
                calls = f"calls: {', '.join(bench.calls)}\nseed={seed} repeats them"
                raise AssertionError(f"{step.name}: {told}\n{calls}") from (exc.__cause__ if found else exc)


def turn(hub: Hub, times: int = 3) -> None:
    """Let the loop turn, and wait in it for a moment at most."""
    alarm = hub.call_repeatedly(0.001, int)  # again and again: one that is due at once would wake no poll
    for _ in range(times):
        hub.turn()
    alarm.cancel()


class _EarlyClock(SystemClock):
    """The machine's clock, which can be put on."""

    ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead


class _Bench:
    """One instance of the step, and all that is done to it."""

    def __init__(self, step: Any, parent: Any, clock: _EarlyClock) -> None:
        self.step, self.parent, self.clock = step, parent, clock
        self.is_consumer = isinstance(parent, Consumer)
        self.connect = self.is_consumer and parent.controller.broker_urls == (MEMORY,)
        without = CONSUMER_STEPS if self.connect else ()
        self.needed = [other for other in _needed(step, parent.blueprint) if type(other) not in without]
        self.hub = parent.controller.hub if self.is_consumer else parent.hub
        self.calls: list[str] = []
        self.heard = _Heard()

    def play(self, chance: random.Random) -> None:
        """One round."""
        self._ends(chance)
        for _ in range(chance.randint(1, 3) if self.is_consumer else 1):
            with self._surroundings():
                before = Held.by(self.hub)
                self._call("start", chance)
                self._turn(chance)
                self._ends(chance, at_least="stop")
            self._nothing_left(before)
        self._ends(chance, at_least="shutdown")

    def _ends(self, chance: random.Random, at_least: str | None = None) -> None:
        """Some of the hooks that may come at any time and any number of times."""
        hooks = chance.choices(["close", "drain", "stop", "terminate", "shutdown"], k=chance.randint(0, 3))
        for hook in [*hooks, *([at_least] if at_least else [])]:
            self._call(hook, chance)

    def _call(self, name: str, chance: random.Random) -> None:
        hook = getattr(self.step, name, None)
        if hook is None:
            return
        self.calls.append(name)
        if chance.random() < 0.5:
            hook(self.parent)
        else:
            self.hub.call_soon(hook, self.parent)
            self._turn(chance)

    def _turn(self, chance: random.Random) -> None:
        """Let the loop turn a few times, or long enough for timers."""
        if chance.random() < 0.5:
            self.calls.append("(an hour)")
            self.clock.ahead += HOUR
        with self.heard:
            turn(self.hub)
        self.heard.check()

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """What the step requires runs; for a consumer step this is one connection."""
        with ExitStack() as stack:
            if self.is_consumer:
                self.calls.append("(a connection)")
                self.parent.scope = Scope(self.hub, self.heard.lost)
                stack.callback(self.parent.scope.close)
            if self.connect:
                stack.callback(setattr, self.parent, "connection", None)
                self.parent.connection = stack.enter_context(self.parent.app.connection_for_read(MEMORY))
            for other in self.needed:
                other.start(self.parent)
                stack.callback(getattr(other, "stop", int), self.parent)
            yield

    def _nothing_left(self, before: Held) -> None:
        if left := Held.by(self.hub).beyond(before):
            raise _FoundError(f"left after its stop: {'; '.join(left)}")


class _FoundError(Exception):
    """What is wrong, in words; its cause is what the step has raised, if that is how it was found."""


class _Heard(logging.Handler):
    """Errors that the hub has caught and logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[tuple[str, BaseException | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.append((record.getMessage(), record.exc_info[1] if record.exc_info else None))

    def lost(self, exc: BaseException) -> None:
        self.errors.append((f"the connection was lost: {exc!r}", exc))

    def check(self) -> None:
        for told, exc in self.errors:
            raise _FoundError(told) from exc

    def __enter__(self) -> None:
        logging.getLogger("workerd.worker.loop.hub").addHandler(self)

    def __exit__(self, *exc_info: object) -> None:
        logging.getLogger("workerd.worker.loop.hub").removeHandler(self)


@contextmanager
def _made(step: type[Step], place: str, app: App, broker: str, options: dict[str, Any]) -> Iterator[_Bench]:
    """The step among all others of its blueprint, and the daemon's files in a directory that goes again."""
    clock = _EarlyClock()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workerd-")))
        roots = {"WORKERD_STATE_DIR": str(home), "WORKERD_RUNTIME_DIR": str(home)}
        stack.enter_context(_environment(roots))
        if step not in app.steps[place]:
            app.steps[place].add(step)
            stack.callback(app.steps[place].discard, step)
        config = Config(app="stress", broker=(broker,), size=(1, 1))
        worker = stack.enter_context(unstarted(app, config, clock=clock, **options))
        worker.identity.claim()
        stack.callback(worker.identity.release)
        parent: Any = worker if place == "worker" else worker.consumer
        made = parent.blueprint[step.name]
        if made not in parent.blueprint.included:
            raise AssertionError(f"{step.name}: its include_if keeps it out, so there is nothing to try")
        yield _Bench(made, parent, clock)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _needed(step: Step, blueprint: Blueprint) -> list[Any]:
    """What it requires, and what that requires, in boot order; without what cannot be started here."""
    wanted: set[type[Step]] = {type(step)}
    for other in reversed(blueprint.order):
        if type(other) in wanted:
            wanted.update(required for cls, required in blueprint.edges() if cls is type(other))
    return [
        other
        for other in blueprint.order
        if type(other) in wanted and other is not step and other in blueprint.included
        if other.alias not in LEFT_ALONE and hasattr(other, "start")
    ]
