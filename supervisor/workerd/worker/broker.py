"""Broker: run the embedded broker before everything that needs one, and stop it last.

Enabled when ``embedded`` stands in the broker or result backend setting.  The first daemon of a state
root supervises the server; further ones connect to it and take over when it is gone.

Units:   seconds.
Errors:  ConfigError without a server binary, PermissionDeniedError for the data directory,
         UnavailableError when the server ends at its start.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workerd import paths
from workerd.bootsteps import StartStopStep
from workerd.config import Config
from workerd.worker.embedded import EmbeddedServer, find_server, private_dir
from workerd.worker.life.stop_time import Part

if TYPE_CHECKING:
    from workerd.worker import WorkController

log = logging.getLogger(__name__)

_BOOT = 10.0
_STOP = 10.0


def needs_embedded(config: Config) -> bool:
    """True when a setting names the embedded broker."""
    return "embedded" in (*config.broker, config.backend)


class Broker(StartStopStep):
    """Worker step behind ``broker = "embedded"``; absent with brokers of one's own."""

    label = "Broker"
    requires = ("Hub", "Timer")
    conditional = True

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.enabled = needs_embedded(worker.config)
        self._server: EmbeddedServer | None = None

    def start(self, worker: WorkController) -> None:
        if self._server is not None:
            return
        binary = find_server()
        data_dir = private_dir(paths.embedded_dir())
        self._server = EmbeddedServer(
            worker.hub, worker.reaper, worker.clock, binary, data_dir, paths.embedded_socket()
        )
        self._server.start()
        try:
            with worker.inbox.interruptible():
                answered = self._server.wait(_BOOT)
            if not answered:
                # A large append-only file takes longer; the consumer tries again until it answers.
                log.warning("embedded broker: no answer within %.0f s, going on without it", _BOOT)
        except BaseException:
            self.stop(worker)
            raise

    def stop(self, worker: WorkController) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop(worker.stop_time.left(_STOP, Part.SERVER))

    def terminate(self, worker: WorkController) -> None:
        self.stop(worker)

    def info(self, worker: WorkController) -> dict[str, Any]:
        return {"embedded": self._server.info()} if self._server is not None else {}
