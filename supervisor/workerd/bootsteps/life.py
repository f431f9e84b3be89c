"""The life of a blueprint: its states, and the walks over its steps that lead from one to the next.

A life only goes forward: ``INIT`` -> ``RUN`` -> ``CLOSE`` -> ``TERMINATE``.  ``start``, ``close``, ``stop``,
``terminate`` and ``shutdown`` are requests to it.  They may come at any time, any number of times, from any
state, also from within a step while another of them is running: the walk that goes on takes the new request
up when the step at hand returns, so that no step is ever walked over twice.  ``restart`` is the one way back:
it stops what was started and returns to ``INIT``, unless a stop was asked for.

If a step raises in ``start``, the steps before it are stopped in reverse, the state is ``INIT`` again and the
exception goes up as it is, with a note that names the step.

Errors: what a step raises in ``start`` goes up; what it raises in any later hook is logged, a SystemExit
too: one step's wish to leave must not cost the others their stop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import IntEnum
from typing import Any

from workerd.bootsteps.steps import Step

logger = logging.getLogger("workerd.bootsteps")


class State(IntEnum):
    """Where a blueprint is in its life."""

    INIT = 0
    RUN = 1
    CLOSE = 2
    TERMINATE = 3


RUN, CLOSE, TERMINATE = State.RUN, State.CLOSE, State.TERMINATE

_HUMAN = {
    State.INIT: "initializing",
    State.RUN: "running",
    State.CLOSE: "closing",
    State.TERMINATE: "terminating",
}


class _Goal(IntEnum):
    """How far the requests so far have asked the life to go."""

    NOTHING = 0
    CLOSE = 1
    STOP = 2
    SHUTDOWN = 3


class Life:
    """States, requests and walks; ``parent.steps`` is the list of steps to walk over."""

    alias: str

    def __init__(
        self,
        on_start: Callable[[], Any] | None = None,
        on_close: Callable[[], Any] | None = None,
        on_stopped: Callable[[], Any] | None = None,
    ) -> None:
        self.on_start, self.on_close, self.on_stopped = on_start, on_close, on_stopped
        self.state = State.INIT
        self.started = 0
        """How many entries of ``parent.steps`` have been told to start."""
        self.shutdown_complete = threading.Event()
        self._live: list[Step] = []  # started and not yet stopped, in boot order
        self._goal = _Goal.NOTHING
        self._hard = False  # terminate instead of stop
        self._again = False  # a restart was asked for while a walk went on
        self._walking = False
        self._entered = False  # on_start has run, so on_stopped is due at the end
        self._shut = False  # the shutdown hooks have been called

    # -- requests --------------------------------------------------------------------------------

    def start(self, parent: Any) -> None:
        """Start the included steps in order.  Does nothing unless the state is ``INIT``.

        Errors: what a step raises, after the steps before it have been stopped.
        """
        if self.state is not State.INIT or self._walking:
            return
        try:
            with self._walk():
                self.state = State.RUN
                try:
                    self._start_steps(parent)
                except BaseException:
                    self._back_to_init(parent, "stop", "stopping")
                    raise
        finally:
            self._settle(parent)

    def close(self, parent: Any) -> None:
        """Tell the started steps, in boot order, that a stop will come: take nothing new."""
        self._ask(parent, _Goal.CLOSE)

    def stop(self, parent: Any, close: bool = True, terminate: bool = False) -> None:
        """Close unless that is done already (or ``close`` is false), then stop the steps in reverse."""
        self._hard = self._hard or terminate
        if not close and self.state is State.RUN and not self._walking:
            self.state = State.CLOSE
        self._ask(parent, _Goal.STOP)

    def terminate(self, parent: Any) -> None:
        """As ``stop``, but steps that have yet to be stopped are terminated."""
        self.stop(parent, terminate=True)

    def shutdown(self, parent: Any) -> None:
        """Stop, then call ``shutdown`` of every included step, started or not, in reverse."""
        self._ask(parent, _Goal.SHUTDOWN)

    def restart(self, parent: Any, method: str = "stop", description: str = "restarting") -> None:
        """Stop the started steps in reverse and return to ``INIT``, ready to start again.

        A stop that was asked for wins: then this does nothing.
        """
        if self._goal is not _Goal.NOTHING:
            return
        if self._walking:
            self._again = True
            return
        try:
            with self._walk():
                self._back_to_init(parent, method, description)
        finally:
            self._settle(parent)

    def join(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for the end of the stop; True when it has come."""
        return self.shutdown_complete.wait(timeout)

    def human_state(self) -> str:
        """The state as a word for operators."""
        return _HUMAN[self.state]

    def send_all(
        self,
        parent: Any,
        method: str,
        description: str | None = None,
        reverse: bool = True,
        propagate: bool = True,
        args: Sequence[Any] = (),
    ) -> None:
        """Call ``method(parent, *args)`` of every included step that has it.

        Errors: what a step raises, unless ``propagate`` is false: then it is logged.
        """
        words = description or method.replace("_", " ")
        for step in list(reversed(parent.steps) if reverse else parent.steps):
            if step is not None:
                self._call(step, (method,), words, (parent, *args), propagate=propagate)

    # -- walks -----------------------------------------------------------------------------------

    @contextmanager
    def _walk(self) -> Iterator[None]:
        self._walking = True
        try:
            yield
        finally:
            self._walking = False

    def _ask(self, parent: Any, goal: _Goal) -> None:
        self._goal = max(self._goal, goal)
        self._settle(parent)

    def _settle(self, parent: Any) -> None:
        """Do what was asked for and is not done; requests that come meanwhile raise the goal."""
        if self._walking:
            return
        with self._walk():
            if self._again and self._goal is _Goal.NOTHING:
                self._back_to_init(parent, "stop", "restarting")
            if self._goal >= _Goal.CLOSE and self.state < State.CLOSE:
                self._close_steps(parent)
            if self._goal >= _Goal.STOP and self.state < State.TERMINATE:
                self._stop_steps(parent, "stop", "stopping")
                self._finish()
            if self._goal >= _Goal.SHUTDOWN and not self._shut:
                self._shut = True
                self.send_all(parent, "shutdown", propagate=False)

    def _start_steps(self, parent: Any) -> None:
        if self.on_start is not None:
            self.on_start()
        self._entered = True
        for place, step in enumerate(list(parent.steps), start=1):
            if self._goal is not _Goal.NOTHING or self._again:
                return
            if step is not None:
                self.started = place
                self._start_step(step, parent)
                self._live.append(step)

    def _start_step(self, step: Step, parent: Any) -> None:
        if not hasattr(step, "start"):
            return
        self._debug("Starting %s", step.alias)
        try:
            with self._around(step, "start"):
                step.start(parent)
        except BaseException as exc:
            exc.add_note(f"raised by the start of {step.alias}, a step of the {self.alias} blueprint")
            raise
        logger.debug("^-- substep ok")

    def _close_steps(self, parent: Any) -> None:
        was, self.state = self.state, State.CLOSE
        if was is State.INIT:
            return
        self._notify(self.on_close, "closing")
        for step in list(self._live):
            self._call(step, ("close",), "closing", (parent,), propagate=False)

    def _stop_steps(self, parent: Any, method: str, description: str) -> None:
        # A terminate that comes in the middle is taken up for the steps that remain.
        while self._live:
            step = self._live.pop()
            if self._hard:
                self._call(step, ("terminate", "stop"), "terminating", (parent,), propagate=False)
            else:
                self._call(step, (method,), description, (parent,), propagate=False)

    def _back_to_init(self, parent: Any, method: str, description: str) -> None:
        self._stop_steps(parent, method, description)
        self.state, self.started, self._again = State.INIT, 0, False

    def _finish(self) -> None:
        if self._entered:
            self._notify(self.on_stopped, "stopped")
        self.state = State.TERMINATE
        self.shutdown_complete.set()

    def _notify(self, callback: Callable[[], Any] | None, words: str) -> None:
        try:
            if callback is not None:
                callback()
        except (Exception, SystemExit) as exc:
            logger.error("Error on %s the %s blueprint: %r", words, self.alias, exc, exc_info=True)

    def _call(
        self, step: Step, methods: Sequence[str], words: str, args: Sequence[Any], *, propagate: bool
    ) -> None:
        method = next((name for name in methods if getattr(step, name, None) is not None), None)
        if method is None:
            return
        self._debug("%s %s...", words.capitalize(), step.alias)
        try:
            with self._around(step, method):
                getattr(step, method)(*args)
        except (Exception, SystemExit) as exc:
            if propagate:
                exc.add_note(f"raised by {method} of {step.alias}, a step of the {self.alias} blueprint")
                raise
            logger.error("Error on %s %s: %r", words, step.alias, exc, exc_info=True)

    def _around(self, step: Step, hook: str) -> AbstractContextManager[Any]:
        return nullcontext()

    def _debug(self, text: str, *args: Any) -> None:
        logger.debug(f"| %s: {text}", self.alias, *args)
