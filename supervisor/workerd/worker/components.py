"""The worker's own steps, in boot order.  Each puts on the worker what the extension guide documents.

The steps that are larger than an adapter have files of their own: ``broker``, ``autoscaler``,
``autoreloader``, ``beat``, ``http``, ``pool``, ``service``, ``statedb``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.backends.opening import RPC, scheme_of
from workerd.backends.writer import ResultWriter, open_writer
from workerd.bootsteps import StartStopStep, Step
from workerd.control.server import ControlServer
from workerd.paths import control_socket
from workerd.worker.autoreloader import Autoreloader
from workerd.worker.autoscaler import Autoscaler
from workerd.worker.beat.step import Beat
from workerd.worker.broker import Broker
from workerd.worker.consumer import Consumer as ConsumerBlueprint
from workerd.worker.http.step import Http
from workerd.worker.log import logs
from workerd.worker.loop import hub as hubs
from workerd.worker.loop import timer as timers
from workerd.worker.loop.stalls import Stalls
from workerd.worker.pool.step import Pool
from workerd.worker.replies import BrokerReplies
from workerd.worker.service.step import Notify
from workerd.worker.state.statedb import StateDB
from workerd_pool import Reaper

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

__all__ = [
    "Autoreloader",
    "Autoscaler",
    "Beat",
    "Broker",
    "Consumer",
    "Http",
    "Hub",
    "Notify",
    "Pool",
    "Results",
    "Socket",
    "StateDB",
    "Statedb",
    "Timer",
]


class Hub(StartStopStep):
    """The event loop, and the reaper that waits for every child of this process."""

    label = "Hub"

    def __init__(self, worker: WorkController, **options: Any) -> None:
        worker.hub = hubs.Hub(timers.Timer(worker.clock.now))
        worker.reaper = Reaper(worker.hub)

    def start(self, worker: WorkController) -> None:
        worker.hub.add_reader(worker.inbox.fileno(), worker.read_inbox)
        if worker.hub.stalls is None:
            worker.hub.stalls = Stalls(worker.hub, worker.inbox, logs.descriptor())
        if (log := logs.handler()) is not None:
            log.attach(worker.hub, worker.pools.hold_output)
            log.told_where(worker.pools.place)
            worker.dispatcher.narrator.say = log.say
        worker.dispatcher.narrator.shows_args = worker.config.log.args

    def stop(self, worker: WorkController) -> None:
        worker.hub.remove_reader(worker.inbox.fileno())
        if worker.hub.stalls is not None:
            worker.hub.stalls.close()
            worker.hub.stalls = None
        if (log := logs.handler()) is not None:
            log.detach(worker.hub)


class Timer(Step):
    """The scheduler of the hub."""

    label = "Timer"
    requires = ("Hub",)

    def __init__(self, worker: WorkController, **options: Any) -> None:
        worker.timer = worker.hub.timer


Statedb = StateDB


class Results(StartStopStep):
    """The supervisor's way to the result backend; it reconnects by itself."""

    label = "Results"
    requires = ("Hub", "Timer")

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.writer: ResultWriter | None = None

    def start(self, worker: WorkController) -> None:
        if self.writer is not None:
            return
        options = worker.app.backend_options()
        if scheme_of(worker.backend_url) == RPC:
            options = options.messages()
        self.writer = open_writer(worker.backend_url, worker.hub, options, BrokerReplies(worker))
        worker.dispatcher.failures.results = self.writer
        worker.dispatcher.failures.coding = options.coding

    def stop(self, worker: WorkController) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class Socket(StartStopStep):
    """The operator's door: the control socket."""

    label = "Socket"
    requires = ("Hub",)

    def __init__(self, worker: WorkController, **options: Any) -> None:
        self.server: ControlServer | None = None

    def start(self, worker: WorkController) -> None:
        if self.server is not None:
            return
        path = control_socket(worker.config.name)
        self.server = ControlServer(worker.hub, path, worker.commands, worker.desk)
        self.server.start()

    def stop(self, worker: WorkController) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


class Consumer(StartStopStep):
    """Starts the Consumer blueprint, last of all."""

    label = "Consumer"
    requires = ("Hub", "Timer", "Pool", "Results")
    last = True

    def create(self, worker: WorkController) -> ConsumerBlueprint:
        worker.consumer = ConsumerBlueprint(worker)
        return worker.consumer
