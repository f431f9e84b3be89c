"""Http: health and metrics on an address of its own (``http``, ``start --http``).

They are served by a program beside the daemon, so that whoever asks costs the loop one answer on its control
socket, and a probe is answered while the loop hangs: that is what it is for.  An address that cannot be had
is no reason not to run tasks: the daemon says so, and tries again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.delivery.events import Both
from workerd.paths import control_socket
from workerd.worker.beside import SideProgram
from workerd.worker.http.measures import Measures

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)


class Http(StartStopStep):
    """Worker step behind ``--http``; absent without it."""

    label = "Http"
    requires = ("Hub", "Socket")
    conditional = True

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.address = worker.config.http
        self.enabled = bool(self.address)
        self.url = ""
        """Where it listens; empty while it does not."""
        self.measures = Measures()
        worker.http = self if self.enabled else None
        if self.enabled:
            receivers = worker.dispatcher.receivers
            worker.dispatcher.tell_app(Both(receivers, self.measures) if receivers else self.measures)
        self._program: SideProgram | None = None

    def start(self, worker: WorkController) -> None:
        if self._program is None:
            argv = [
                "-m",
                "workerd.worker.http.program",
                self.address,
                str(control_socket(worker.config.name)),
            ]
            self._program = SideProgram(
                worker.hub,
                worker.reaper,
                worker.clock,
                name="program that serves health and metrics",
                argv=argv,
                heard=self._heard,
                begun=self._begun,
            )
            self._program.start()

    def stop(self, worker: WorkController) -> None:
        if self._program is not None:
            self._program.stop()
            self._program = None

    def status(self) -> dict[str, Any]:
        """For ``status``: ``url``, the program's ``pid`` and ``restarts``, and the ``problem`` there is."""
        if self._program is None:
            return {}
        program = self._program
        return {
            "url": self.url,
            "pid": program.pid,
            "restarts": program.restarts,
            "problem": program.problem,
        }

    def _begun(self) -> None:
        self.url = ""

    def _heard(self, fact: dict[str, Any]) -> None:
        """The one thing that it says is where it listens."""
        self.url = str(fact["url"])
        if self._program is not None:
            self._program.well()
        logger.info("Health and metrics are served on %s", self.url)
