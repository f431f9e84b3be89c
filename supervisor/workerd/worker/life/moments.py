"""The moments of a daemon's life that signals tell of: each once, in the order in which they come."""

from __future__ import annotations

from signal import Signals
from typing import TYPE_CHECKING

from workerd.signals import (
    celeryd_after_setup,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from workerd.worker.life.lifecycle import Event, State

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

SIGNALS = {
    Event.STOP_ASKED: Signals.SIGTERM,
    Event.STOP_ASKED_AGAIN: Signals.SIGTERM,
    Event.QUIT_ASKED: Signals.SIGQUIT,
    Event.RESTART_ASKED: Signals.SIGUSR2,
}
"""What asks for a stop, and the signal that asks for the same, for what comes by the socket."""

HOW = {State.DRAINING: "Warm", State.STOPPING: "Cold", State.KILLING: "Cold"}


class Moments:
    """Tells them of one worker."""

    def __init__(self, worker: WorkController) -> None:
        self._worker = worker
        self._asked: tuple[Event | None, Signals | None] = (None, None)
        self._how = ""  # the last that was told
        self._began = self._killed = False

    def making_steps(self) -> None:
        """The steps are about to be made."""
        worker_init.send(sender=self._worker)

    def starting(self) -> None:
        """The steps are about to start."""
        worker = self._worker
        self._began = True
        celeryd_after_setup.send(sender=worker.hostname, instance=worker, conf=worker.app.conf)

    def ready(self) -> None:
        """Tasks are run, for the first time."""
        worker_ready.send(sender=self._worker.consumer)

    def asked_by(self, signum: Signals, event: Event) -> None:
        """This signal is why ``event`` is about to happen."""
        self._asked = (event, signum)

    def happened(self, event: Event) -> None:
        """``event`` has led to the state that the worker is in now; a stop that it begins is told."""
        worker, (asked, signum) = self._worker, self._asked
        self._killed = self._killed or worker.state is State.KILLING
        how = HOW.get(worker.state, "")
        if event in SIGNALS and how and how != self._how:
            self._how = how
            sig = (signum if signum is not None and asked is event else SIGNALS[event]).name
            code = int(worker.life.code)
            worker_shutting_down.send(sender=worker.hostname, sig=sig, how=how, exitcode=code)

    def ended(self) -> None:
        """Every step has been stopped; an end that waited for nothing is not told."""
        if self._began and not self._killed:
            worker_shutdown.send(sender=self._worker)
