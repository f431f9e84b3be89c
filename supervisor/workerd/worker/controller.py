"""WorkController: the parent object of worker steps, and the one place where events become actions.

It decides nothing by itself: signals, operators, children and the broker cause events, the table of
``lifecycle`` turns them into commands, and ``conduct`` carries those out.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workerd.app.marks import marks_of
from workerd.app.part import take_part
from workerd.bootsteps import Blueprint
from workerd.bootsteps.order import Neighbours
from workerd.clock import SystemClock
from workerd.delivery import Dispatcher, Request, Stage
from workerd.errors import AppImportError, UnavailableError, WorkerdError
from workerd.worker import components
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.control import all_commands
from workerd.worker.desk import OperatorDesk
from workerd.worker.given import Given
from workerd.worker.life.conduct import Conductor
from workerd.worker.life.lifecycle import Event, Life, State, asked_by, decide
from workerd.worker.life.moments import Moments
from workerd.worker.life.stop_time import StopTime
from workerd.worker.log import logs
from workerd.worker.log.said import prints_of
from workerd.worker.loop.inbox import Inbox, StopRequested
from workerd.worker.loop.timer import LateTimer
from workerd.worker.pool.memory import MemoryKeeper
from workerd.worker.pool.reloads import Reloads
from workerd.worker.process.shape import warn_of_root
from workerd.worker.served import Served
from workerd.worker.service.notifier import Notifier
from workerd.worker.service.progress import Progress
from workerd.worker.steps.added import added_steps, plugins_of
from workerd.worker.steps.attributes import StepAttributes
from workerd.worker.steps.blame import blaming_steps
from workerd.worker.steps.on_disk import StepsOnDisk
from workerd.worker.steps.patience import Patience
from workerd.worker.task_signals import TaskSignals

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.clock import Clock
    from workerd.config import Config
    from workerd.worker.identity import Identity

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
    components.Http,
    components.Notify,
    components.Consumer,
)
"""The boot order that a reader can see."""


class WorkController(StepAttributes, Served):
    """One daemon.  Its public attributes are those that the extension guide documents."""

    app: App
    """The App that it serves."""
    config: Config
    """The settings of this daemon, frozen: ``worker.config.size``."""
    hostname: str
    """The name of the node, ``main@host``."""
    blueprint: Blueprint
    """The Worker blueprint; ``worker.blueprint["Pool"]`` is a step by its label."""
    use_eventloop = True
    """Steps may ask; here there is always one."""
    life = Life()
    """Where the daemon is in its life; receivers of ``celeryd_init`` see it before anything else is there."""

    def __init__(
        self,
        app: App,
        config: Config,
        *,
        inbox: Inbox,
        identity: Identity,
        clock: Clock | None = None,
        notifier: Notifier | None = None,
        open_files: int | None = None,
        given: Given | None = None,
    ) -> None:
        self.app, self.config, self.inbox, self.identity = app, config, inbox, identity
        self.clock, self.given = clock or SystemClock(), given or Given()
        self.notifier = notifier or Notifier({})
        """Speaks to the service manager, if one has started the daemon."""
        self.open_files = open_files
        """The soft limit of descriptors that tasks have; None for that of the supervisor."""
        self.hostname = identity.node
        self.steps: list[Any] = []
        self.started_at = self.clock.now()
        self.drain_timeout = config.drain.timeout
        self.stop_time = StopTime(self.clock)
        self.marks = marks_of(app, take_part(app, self.broker_urls, self.backend_url, self.hostname))
        """What the daemon has of the app as it was at the start."""
        self.ready = False
        self.failure: WorkerdError | None = None
        """Why the daemon ends, when an error made it end."""
        self.commands = all_commands()
        """What may be asked of this daemon."""
        self.desk, self.conductor, self.progress = OperatorDesk(self), Conductor(self), Progress(self)
        self.moments = Moments(self)
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
        self.dispatcher.tell_app(TaskSignals(self))
        plugins = plugins_of(config)
        self.added_steps = added_steps(app, config, plugins)
        """Steps that are not the daemon's own, by blueprint."""
        self.steps_on_disk = StepsOnDisk(self.added_steps, app.steps, plugins)
        """Those of them that a reload's new code does not bring."""
        self.patience = Patience(self)

    def make_steps(self) -> None:
        """Make every step.  Errors: ConfigError, StepError."""
        self.blueprint = Blueprint(
            name="Worker",
            default_steps=STEPS,
            steps=self.added_steps["worker"],
            parent_attribute="worker",
            around=self.patience,
        )
        self.blueprint.neighbours = Neighbours(later=CONSUMER_STEPS)
        with blaming_steps():
            self.blueprint.apply(self, **self.given.options)

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.state.value})>"

    def __str__(self) -> str:
        return self.hostname

    def see_begun(self) -> None:
        """From here on what a child has begun has the child's pid."""
        for pool in self.pools.values():
            pool.see_begun()

    # -- requests, as the guide's steps see them -----------------------------------------------------

    @property
    def active_requests(self) -> list[Request]:
        """Requests that a child runs."""
        self.see_begun()
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

        Errors: the WorkerdError that ended it, StepError for what a step raised in its start; SystemExit.
        """
        with logs.prints_to_log(prints_of(self.app.conf).stderr):
            try:
                self.moments.starting()
                with blaming_steps():
                    self.blueprint.start(self)
                self.conductor.loop()
            except StopRequested:
                logger.info("Stopped while starting")
            finally:
                self.memory.stop()
                self.blueprint.stop(self, terminate=self.conductor.killed)
                self.blueprint.shutdown(self)
                self.moments.ended()
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
            self.desk.tell({"event": "state", "state": self.life.state.value})
            self.moments.happened(event)
        for command in commands:
            self.conductor.perform(command)

    def read_inbox(self) -> None:
        """Signals that have come in, as events."""
        for seen in self.inbox.take():
            event = asked_by(seen.signum, self.life)
            if event is Event.RESTART_ASKED:
                self.desk.ask_restart()
            elif event is not None:
                self.moments.asked_by(seen.signum, event)
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
        self.desk.tell({"event": "link-up"})
        self.check_ready()

    def link_down(self, reason: str) -> None:
        """The consumer has lost its connection, or could not make one."""
        self.desk.tell({"event": "link-down", "reason": reason})
        if self.app.conf.worker_cancel_long_running_tasks_on_connection_loss:
            self.dispatcher.orders.link_lost(self.config.drain.grace)

    def give_up(self, what: str, why: str) -> None:
        """The broker is not tried any more, because the app's settings say so: the daemon ends."""
        self.failure = UnavailableError(what, f"{why}: leave the setting out, to try for ever")
        self.happened(Event.STEP_FAILED)

    def check_ready(self) -> None:
        """Say once that tasks are being run."""
        if self.ready or not self.reloads.up or self.consumer.link.restarts < 0:
            return
        self.ready = True
        logger.info("%s ready.", self.hostname)
        warn_of_root()
        self.desk.tell({"event": "ready"})
        self.moments.ready()

    def children_gone(self) -> None:
        """No child and no template is left."""
        self.happened(Event.CHILDREN_GONE)

    def _started(self) -> None:
        self.happened(Event.STARTED)

    def _reload_ended(self, ok: bool) -> None:
        if ok and self.beat is not None:
            self.beat.reloaded()
        self.happened(Event.RELOAD_DONE if ok else Event.RELOAD_FAILED)

    def _first_generation_failed(self, reason: str, traceback: str) -> None:
        self.failure = AppImportError(
            f"no child can be started: {reason}", "mend the app and start again", traceback
        )
        self.happened(Event.STEP_FAILED)


__all__ = ["STEPS", "WorkController"]
