"""The App: settings, tasks, and the ways to the broker and to the results.

Errors:  ConfigError for settings, task options and names; UnavailableError from what talks to a server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Literal, overload

from kombu.connection import Connection
from kombu.entity import Queue

from workerd.app.additions import Steps, UserOptions
from workerd.app.canvas.kinds import signature
from workerd.app.canvas.signature import Signature
from workerd.app.events import Events
from workerd.app.making import make_task
from workerd.app.periodic import PeriodicTasks
from workerd.app.registry import TaskRegistry
from workerd.app.results.group import GroupResult
from workerd.app.results.home import ResultsHome
from workerd.app.results.result import AsyncResult, EagerResult
from workerd.app.running.reporting import Reporter
from workerd.app.running.request import Frames, Request
from workerd.app.sending.broker import Broker
from workerd.app.sending.drafting import naive_zone
from workerd.app.sending.many import CallLike, send_many
from workerd.app.sending.publish import Publisher
from workerd.app.sending.routing import Router
from workerd.app.sending.single import send_one
from workerd.app.sending.stencils import Stencils
from workerd.app.settings.conf import Conf
from workerd.app.settings.daemon import for_daemon
from workerd.app.settings.sources import settings_of, source_named_by
from workerd.app.task import P, R
from workerd.app.task import Task as BaseTask
from workerd.backends import Backend, BackendOptions
from workerd.clock import LogicalClock
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app.remote.control import RemoteControl
    from workerd.app.running.reporting import ChildLink

# What root must not read: these can name code for the reader to run.
RUNS_CODE = frozenset({"pickle", "application/x-python-serialize", "yaml", "application/x-yaml"})


class App(PeriodicTasks):
    """One application of tasks.

    ``main`` names tasks of a module that runs as a script; ``broker`` (one, or several to be tried in turn)
    and ``backend`` are URLs, ``include`` names modules with tasks; all others are settings of ``conf``.
    """

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | Sequence[str] | None = None,
        backend: str | None = None,
        include: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        given = {"broker_url": broker, "result_backend": backend, "include": include or None}
        self.main = main
        self.conf = Conf({**{k: v for k, v in given.items() if v is not None}, **settings})
        """The settings, by attribute or item, each checked as it is set."""
        self.tasks = TaskRegistry(self)
        """Every task of the author by its name; Celery's own are found by theirs."""
        self.conf.on_change("task_annotations", self.tasks.annotate)
        self.steps = Steps()
        """Bootsteps to add to the daemon: ``app.steps["worker"].add(MyStep)``, or ``"consumer"``."""
        self.user_options = UserOptions()
        """Command-line options to add, by command: ``app.user_options["worker"].add(option)``."""
        self.frames = Frames()
        self.hostname = f"{main or 'app'}@{socket.gethostname()}"
        self.broker = Broker(self.conf)
        self.clock = LogicalClock()
        """Orders what the nodes of a cluster tell each other; a daemon keeps it."""
        self.events = Events(self.conf, self.broker, self.clock)
        self.router = Router(self.conf)
        self.publisher = Publisher(self.conf, self.broker, self.router, self.events)
        self.stencils = Stencils(self)
        self._reporter = Reporter(self)
        self.results_home = ResultsHome(self.conf, self.broker)

    @property
    def Task(self) -> type[BaseTask]:  # noqa: N802 (the name that authors know)
        """The base class of this app's tasks."""
        return type("Task", (BaseTask,), {"app": self, "__module__": BaseTask.__module__})

    @overload
    def task(self, function: Callable[P, R], /) -> BaseTask[P, R]: ...
    @overload
    def task(
        self, *, bind: Literal[True], **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], BaseTask[P, R]]: ...
    @overload
    def task(
        self, *, bind: Literal[False] = False, **options: Any
    ) -> Callable[[Callable[P, R]], BaseTask[P, R]]: ...
    def task(self, *args: Any, **options: Any) -> Any:
        """Make a task of a function: ``@app.task`` or ``@app.task(bind=True, ...)``, which gives it the task
        first.  Other options are attributes of ``Task``, and ``base``, its class."""
        if len(args) == 1 and not options and not isinstance(args[0], str):
            return make_task(self, args[0], {})
        if args:
            raise TypeError("@app.task takes options by name only")
        return lambda function: make_task(self, function, options)

    def register_task(self, task: BaseTask | type[BaseTask]) -> BaseTask:
        """Add a task that is written as a class."""
        instance = task() if isinstance(task, type) else task
        cls = type(instance)
        instance.app = self
        instance.name = instance.name or self.task_name(cls.__name__, cls.__module__)
        self.tasks.register(instance)
        return instance

    def task_name(self, name: str, module: str) -> str:
        """The name of a task that is not given one."""
        home = (self.main or module) if module == "__main__" else module
        return f"{home}.{name}" if home else name

    def config_from_object(self, source: Any, namespace: str | None = None) -> None:
        """Take settings from a mapping, a module, its name, or any object.

        ``namespace="CELERY"`` takes CELERY_BROKER_URL for broker_url, and nothing without that beginning.
        """
        self.conf.update(settings_of(source, namespace))

    def config_from_envvar(self, variable: str, *, silent: bool = False) -> bool:
        """Take settings from the module that an environment variable names; False where it names none.

        That is an error (ConfigError) unless it is ``silent``.
        """
        if (source := source_named_by(variable)) is None:
            if silent:
                return False
            raise ConfigError(f"the variable {variable} names no module of settings", f"set {variable}")
        self.config_from_object(source)
        return True

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult | EagerResult:
        """Send a call by the task's name, which need not be known here."""
        return send_one(self, name, args, kwargs, options)

    def send_many(self, calls: Iterable[CallLike]) -> list[AsyncResult | EagerResult]:
        """Send many calls in a few round trips: signatures, or ``(task, args, kwargs, options)``.

        Each is sent as its ``apply_async`` sends it.  Raises UnsentError if some have not arrived.
        """
        return send_many(self, calls)

    def own_queue(self) -> str | None:
        """The queue from which the call in progress came, which therefore exists."""
        sender = self.frames.sender
        if sender is None or sender.called_directly or sender.delivery_info.get("exchange"):
            return None
        return sender.delivery_info.get("routing_key")

    def signature(
        self, task: str | Mapping[str, Any], args: Any = (), kwargs: Any = None, **more: Any
    ) -> Signature:
        """A signature of this app, as ``workerd.signature`` makes it."""
        return signature(task, args, kwargs, app=self, **more)

    def AsyncResult(self, task_id: str) -> AsyncResult:  # noqa: N802 (the name that authors know)
        """The result of one call."""
        return AsyncResult(task_id, app=self)

    def GroupResult(self, group_id: str, results: Iterable[Any] = ()) -> GroupResult:  # noqa: N802
        """The results of one group."""
        return GroupResult(group_id, results, self)

    @cached_property
    def control(self) -> RemoteControl:
        """The way to ask and steer the nodes of the cluster."""
        # Whoever asks nobody (a child, most clients) does without hashes and signatures.
        from workerd.app.remote.control import RemoteControl  # noqa: PLC0415

        return RemoteControl(self)

    @property
    def current_task(self) -> BaseTask | None:
        """The task whose run this is."""
        frame = self.frames.current
        return frame.task if frame else None

    def connection_for_read(self, url: str | Sequence[str] | None = None) -> Connection:
        """A new broker connection to consume from, not connected yet."""
        return self.broker.connection(url, "broker_read_url")

    def connection_for_write(self, url: str | Sequence[str] | None = None) -> Connection:
        """A new broker connection to publish to, not connected yet."""
        return self.broker.connection(url, "broker_write_url")

    def producer_or_acquire(self, producer: Any = None) -> AbstractContextManager[Any]:
        """``producer``, or a pooled one for as long as the block runs."""
        return self.broker.producer(producer)

    @property
    def queues(self) -> tuple[Queue, ...]:
        """The queues that a worker of this app consumes, as it declares them."""
        return tuple(self.router.queue(name) for name in self.router.queue_names())

    def queue(self, name: str) -> Queue:
        """One queue as this app declares it, also one that is in no setting."""
        return self.router.queue(name)

    def backend_url(self) -> str:
        """Where results are kept: as set, else the embedded broker if that is the broker, else nowhere."""
        return self.results_home.url()

    def backend_options(self) -> BackendOptions:
        """How results are written, from the settings."""
        return self.results_home.options()

    @property
    def backend(self) -> Backend:
        """The result backend; another one after the settings for it have changed."""
        return self.results_home.backend()

    def report_state(
        self, task: BaseTask, request: Request, task_id: str | None, state: str, meta: Any, **extra: Any
    ) -> None:
        """Store a state of a task, through the worker when this is one of its children."""
        self._reporter.report(request, task_id, state, meta, **extra)

    def report_event(self, request: Request, kind: str, fields: dict[str, Any]) -> None:
        """Send an event of a running task, through the worker when this is one of its children."""
        self._reporter.event(request, kind, fields)

    def attach(self, link: ChildLink | None) -> None:
        """This process is a child, and ``link`` its way to the supervisor; None ends that."""
        self._reporter.link = link

    def check_safe(self) -> None:
        """ConfigError when root would run whatever a message holds: a pickle, or YAML."""
        accepted = {*self.conf.accept_content, *(self.conf.result_accept_content or ())}
        if os.geteuid() == 0 and (found := sorted(accepted & RUNS_CODE)):
            raise ConfigError(
                f"as root, accept_content must not hold {found[0]}, with which a message can run code",
                "run as another user, or accept json only",
            )

    def daemon_zone(self) -> tzinfo:
        """The zone in which a worker of this app reads times without an offset."""
        return naive_zone(self.conf)

    def daemon_defaults(self) -> dict[str, Any]:
        """The daemon's settings that ``app.conf`` gives, by the daemon's names for them."""
        given = dict(for_daemon(self.conf))
        return {"queues": self.router.queue_names(), **given, **self.beat_defaults()}

    def close(self) -> None:
        """Close the pooled connections; the app can be used again afterwards."""
        self.broker.close()
        self.results_home.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> App:
        return self

    def __reduce__(self) -> Any:
        # Its results can be read elsewhere; its tasks are code, and travel as modules.
        return _restored, (self.main, self.conf.given())

    def __enter__(self) -> App:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<App {self.main or hex(id(self))}: {len(self.tasks)} tasks>"


def _restored(main: str | None, settings: Mapping[str, Any]) -> App:
    return App(main, **settings)
