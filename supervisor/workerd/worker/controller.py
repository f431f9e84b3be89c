"""WorkController: the parent object of worker steps, and the one place where events become actions.

It decides nothing by itself: signals, operators, children and the broker cause events, the table of
``lifecycle`` turns them into commands, and ``conduct`` carries those out.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workerd.app.marks import marks_of
from workerd.backends.url import EMBEDDED, shown
from workerd.bootsteps import Blueprint
from workerd.clock import SystemClock
from workerd.config.model import DEFAULT_POOL
from workerd.delivery import Dispatcher, Request, Stage
from workerd.errors import AppImportError, StepError, WorkerdError
from workerd.worker import components
from workerd.worker.desk import OperatorDesk
from workerd.worker.inbox import Inbox, StopRequested
from workerd.worker.life.conduct import Conductor
from workerd.worker.life.lifecycle import Event, Life, State, asked_by, decide
from workerd.worker.life.stop_time import StopTime
from workerd.worker.log import logs
from workerd.worker.pool.memory import MemoryKeeper
from workerd.worker.pool.reloads import Reloads
from workerd.worker.timer import LateTimer

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.clock import Clock
    from workerd.config import Config
    from workerd.worker.consumer import Consumer
    from workerd.worker.hub import Hub
    from workerd.worker.identity import Identity
    from workerd.worker.pool.pools import Pools
    from workerd.worker.pool.step import NamedPool
    from workerd.worker.state.database import Database
    from workerd_pool import Reaper

logger = logging.getLogger(__name__)

STEPS = (
    components.Hub,
    components.Timer,
    components.StateDB,
    components.Broker,
    components.Results,
    components.Pool,
    components.Autoreloader,
    components.Autoscaler,
    components.Beat,
    components.Socket,
    components.Consumer,
)
"""The boot order that a reader can see."""


class WorkController:
    """One daemon.  Its public attributes are those that the extension guide documents."""

    hub: Hub
    timer: Any
    reaper: Reaper
    pool: NamedPool
    pools: Pools
    consumer: Consumer
    statedb: Database
    beat: Any
    autoscaler: Any
    autoreloader: Any

    use_eventloop = True

    def __init__(
        self,
        app: App,
        config: Config,
        *,
        inbox: Inbox,
        identity: Identity,
        clock: Clock | None = None,
        open_files: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.app, self.config, self.inbox, self.identity = app, config, inbox, identity
        self.clock, self.options = clock or SystemClock(), dict(options or {})
        self.open_files = open_files
        """The soft limit of descriptors that tasks have; None for that of the supervisor."""
        self.hostname = f"{config.name}@{socket.gethostname()}"
        self.steps: list[Any] = []
        self.life = Life()
        self.started_at = self.clock.now()
        self.drain_timeout = config.drain.timeout
        self.stop_time = StopTime(self.clock)
        self.marks = marks_of(app)
        """What the daemon has of the app as it was at the start."""
        self.ready = False
        self.failure: WorkerdError | None = None
        """Why the daemon ends, when an error made it end."""
        self.desk, self.conductor = OperatorDesk(self), Conductor(self)
        self.reloads = Reloads(self._started, self._reload_ended, self._first_generation_failed)
        self.dispatcher = Dispatcher(
            clock=self.clock,
            timer=LateTimer(self),
            hostname=self.hostname,
            max_crashes=config.max_crashes,
            horizon=config.eta_horizon,
            queues=self.queues_by_pool,
        )
        self.memory = MemoryKeeper(self)
        self.dispatcher.on_work = self.memory.watch
        self.blueprint = Blueprint(
            name="Worker", default_steps=STEPS, steps=app.steps["worker"], parent_attribute="worker"
        )
        with blaming_steps():
            self.blueprint.apply(self, **self.options)

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.state.value})>"

    def __str__(self) -> str:
        return self.hostname

    # -- what it serves ----------------------------------------------------------------------------

    @property
    def broker_urls(self) -> tuple[str, ...]:
        """Where messages come from, in the order in which they are tried."""
        return self.config.broker

    @property
    def backend_url(self) -> str:
        """Where results go; empty when nowhere."""
        if self.config.backend:
            return self.config.backend
        return EMBEDDED if EMBEDDED in self.config.broker else ""

    @property
    def masked_broker(self) -> str:
        """The broker for people's eyes: without passwords."""
        return ", ".join(shown(url) for url in self.broker_urls)

    @property
    def masked_backend(self) -> str:
        """The result backend for people's eyes."""
        return shown(self.backend_url) if self.backend_url else "none"

    @property
    def queues_by_pool(self) -> dict[str, Sequence[str]]:
        """The queues to consume, for each pool by its name."""
        queues: dict[str, Sequence[str]] = {
            name: pool.queues for name, pool in self.config.all_pools().items()
        }
        queues[DEFAULT_POOL] = self.config.queues or (self.app.conf.task_default_queue,)
        return queues

    @property
    def queues(self) -> Sequence[str]:
        """The queues to consume, of all pools."""
        return [queue for queues in self.queues_by_pool.values() for queue in queues]

    # -- requests, as the guide's steps see them -----------------------------------------------------

    @property
    def active_requests(self) -> list[Request]:
        """Requests that a child runs."""
        return self.dispatcher.table.in_stage(Stage.RUNNING)

    @property
    def reserved_requests(self) -> list[Request]:
        """Requests that wait for a slot."""
        return self.dispatcher.table.in_stage(Stage.RESERVED)

    @property
    def scheduled_requests(self) -> list[Request]:
        """Requests that wait for their ETA."""
        return self.dispatcher.table.in_stage(Stage.SCHEDULED)

    # -- life ----------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the daemon is in its life."""
        return self.life.state

    @property
    def restarting(self) -> bool:
        """True when the end of this life is an exec; a stop that is asked for until then takes it back."""
        return self.life.restart and self.life.state is State.STOPPED

    def run(self) -> int:
        """From the first step's start to the last one's stop; return the exit code.

        Errors: the WorkerdError that ended it; whatever else a step raised in its start.
        """
        try:
            with logs.prints_to_log(), blaming_steps():
                self.blueprint.start(self)
            with logs.prints_to_log():
                self.conductor.loop()
        except StopRequested:
            logger.info("Stopped while starting")
        finally:
            self.memory.stop()
            self.blueprint.stop(self)
            self.blueprint.shutdown(self)
            self.hub.dispose()
        if self.failure is not None:
            raise self.failure
        return int(self.conductor.code)

    def happened(self, event: Event) -> None:
        """A fact for the life cycle."""
        before = self.life
        self.life, commands = decide(self.life, event)
        if self.life.state is not before.state:
            logger.info("%s: %s", self.life.state.value.capitalize(), event.value)
        for command in commands:
            self.conductor.perform(command)

    def read_inbox(self) -> None:
        """Signals that have come in, as events."""
        for seen in self.inbox.take():
            event = asked_by(seen.signum, self.life)
            if event is Event.RESTART_ASKED:
                self.desk.ask_restart()
            elif event is not None:
                self.hub.guard(self.happened, (event,))
        self.reaper.reap()

    def last_requests(self) -> None:
        """Signals that came while the steps stopped: a stop takes a restart back."""
        for seen in self.inbox.take():
            event = asked_by(seen.signum, self.life)
            if event in (Event.STOP_ASKED, Event.STOP_ASKED_AGAIN, Event.QUIT_ASKED):
                self.happened(event)

    # -- facts from the parts ------------------------------------------------------------------------

    def link_up(self) -> None:
        """The consumer's generation stands."""
        self.check_ready()

    def link_down(self, reason: str) -> None:
        """The consumer has lost its connection, or could not make one."""
        self.desk.tell({"event": "link-down", "reason": reason})

    def check_ready(self) -> None:
        """Say once that tasks are being run."""
        if self.ready or not self.reloads.up or self.consumer.link.restarts < 0:
            return
        self.ready = True
        logger.info("%s ready.", self.hostname)
        self.desk.tell({"event": "ready"})

    def children_gone(self) -> None:
        """No child and no template is left."""
        self.happened(Event.CHILDREN_GONE)

    def _started(self) -> None:
        self.happened(Event.STARTED)

    def _reload_ended(self, ok: bool) -> None:
        self.happened(Event.RELOAD_DONE if ok else Event.RELOAD_FAILED)

    def _first_generation_failed(self, reason: str, traceback: str) -> None:
        self.failure = AppImportError(
            f"no child can be started: {reason}", "mend the app and start again", traceback
        )
        self.happened(Event.STEP_FAILED)


@contextmanager
def blaming_steps() -> Iterator[None]:
    """Turn what a step raises into an error that names the step; known errors pass."""
    try:
        yield
    except WorkerdError:
        raise
    except Exception as exc:
        where = "; ".join(getattr(exc, "__notes__", ())) or "raised by a step"
        raise StepError(f"{exc!r} {where}", "mend the step; -l debug shows the traceback") from exc


__all__ = ["STEPS", "WorkController"]
