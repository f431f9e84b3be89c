"""StateDB: what must outlive the supervisor, in its state directory.

``worker.statedb`` is the database.  It keeps how many deaths each message has caused, the messages that were
adopted, which the broker has no more, the ids that must not be run, and the logical clock; beside it stands
the file of what runs now, from which the next supervisor learns what ran when this one died.

Errors:  PermissionDeniedError, and ConfigError for a database of a newer workerd; a disk that is full, or a
         file that is damaged, is told in the log and holds up nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep
from workerd.paths import state_dir
from workerd.worker.state.adopted import AdoptedShelf
from workerd.worker.state.database import Database
from workerd.worker.state.death_memory import DeathMemory
from workerd.worker.state.revoke_memory import RevokeMemory
from workerd.worker.state.run_file import RunFile

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

FILE = "statedb.sqlite3"
RUNS = "statedb.runs"


class StateDB(StartStopStep):
    """Worker step; before everything that runs tasks."""

    label = "StateDB"
    requires = ("Hub",)

    def __init__(self, worker: WorkController, **options: Any) -> None:
        directory = state_dir(worker.config.name)
        self.database = worker.statedb = Database(directory / FILE, worker.hub)
        self._open = False
        self.adopted = AdoptedShelf(self.database, worker.clock)
        self.revokes = RevokeMemory(self.database, worker.clock)
        self.deaths = DeathMemory(self.database, RunFile(directory / RUNS), worker.clock)

    def start(self, worker: WorkController) -> None:
        if self._open:
            return
        self._open = True
        self.database.open()
        worker.dispatcher.deaths.remember(self.deaths, self.deaths.load())
        worker.hub.on_tick.add(self.deaths.save)
        worker.dispatcher.revokes.remember(self.revokes, self.revokes.load())
        worker.app.clock.adjust(self.revokes.load_clock())
        holding = worker.dispatcher.holding
        if holding.shelf is None:  # not when it is started again
            holding.adopt_in(self.adopted, worker.config.amqp.consumer_timeout)
            holding.restore(self.adopted.load(worker.app.daemon_zone()))

    def stop(self, worker: WorkController) -> None:
        if self._open:
            self._open = False
            self.revokes.save_clock(worker.app.clock.value)
        worker.hub.on_tick.discard(self.deaths.save)
        self.deaths.close()
        self.database.close()

    def info(self, worker: WorkController) -> dict[str, Any]:
        return {"statedb": {"path": str(self.database.path), "problem": self.database.problem}}
