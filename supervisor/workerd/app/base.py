"""The App: settings, tasks, and the ways to the broker and to the results.

Errors:  ConfigError for settings, task options and names; UnavailableError from what talks to a server.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Concatenate, Literal, overload

from kombu.connection import Connection
from kombu.entity import Queue

from workerd.app.additions import Steps, UserOptions
from workerd.app.broker import Broker
from workerd.app.call import CallOptions
from workerd.app.conf import Conf, settings_of
from workerd.app.drafting import draft_of, naive_zone
from workerd.app.making import make_task
from workerd.app.publish import Publisher
from workerd.app.registry import TaskRegistry
from workerd.app.reporting import Reporter, backend_options
from workerd.app.request import Frames, Request
from workerd.app.result import AsyncResult, EagerResult
from workerd.app.signature import Signature
from workerd.app.task import P, R
from workerd.app.task import Task as BaseTask
from workerd.backends import Backend, BackendOptions, open_backend
from workerd.backends.url import EMBEDDED
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app.reporting import ChildLink

# What root must not read: these can name code for the reader to run.
RUNS_CODE = frozenset({"pickle", "application/x-python-serialize", "yaml", "application/x-yaml"})


class App:
    """One application of tasks.

    ``main`` names tasks of a module that runs as a script; settings are those of ``app.conf``.
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
        self.tasks = TaskRegistry()
        self.steps = Steps()
        self.user_options = UserOptions()
        self.frames = Frames()
        self.hostname = f"{main or 'app'}@{socket.gethostname()}"
        self.broker = Broker(self.conf)
        self.publisher = Publisher(self.conf, self.broker)
        self._reporter = Reporter(self)
        self._backend: tuple[Any, Backend] | None = None

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
        """Make a task of a function: ``@app.task`` or ``@app.task(bind=True, ...)``."""
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
        """Take settings from a mapping, a module, its name, or any object; see ``conf.settings_of``."""
        self.conf.update(settings_of(source, namespace))

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult | EagerResult:
        """Send a call by the task's name, which need not be known here."""
        call = CallOptions.of(options)
        call.task_id = call.task_id or str(uuid.uuid4())
        parent = self.frames.current
        self.publisher.send(draft_of(self, name, args or (), kwargs or {}, call), call, self._own_queue())
        result = AsyncResult(call.task_id, app=self, task_name=name)
        if parent is not None and call.add_to_parent:
            parent.task.add_trail(result)
        return result

    def _own_queue(self) -> str | None:
        """The queue from which the call in progress came, which therefore exists."""
        sender = self.frames.sender
        if sender is None or sender.called_directly or sender.delivery_info.get("exchange"):
            return None
        return sender.delivery_info.get("routing_key")

    def signature(
        self,
        task: str | Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
    ) -> Signature:
        """A signature of this app, from a task's name and arguments or from its mapping."""
        if isinstance(task, Mapping):
            return Signature.of(task, self)
        return Signature(task, args, kwargs, options=options, immutable=immutable, app=self)

    def AsyncResult(self, task_id: str) -> AsyncResult:  # noqa: N802 (the name that authors know)
        """The result of one call."""
        return AsyncResult(task_id, app=self)

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
        return tuple(self.publisher.queue(name) for name in self.publisher.queue_names())

    def queue(self, name: str) -> Queue:
        """One queue as this app declares it, also one that is in no setting."""
        return self.publisher.queue(name)

    def backend_url(self) -> str:
        """Where results are kept: as set, else the embedded broker if that is the broker, else nowhere."""
        if self.conf.result_backend is not None:
            return str(self.conf.result_backend)
        return EMBEDDED if self.broker.urls()[0] == EMBEDDED else ""

    def backend_options(self) -> BackendOptions:
        """How results are written, from the settings."""
        return backend_options(self.conf)

    @property
    def backend(self) -> Backend:
        """The result backend; another one after the settings for it have changed."""
        key = (self.backend_url(), self.backend_options())
        if self._backend is None or self._backend[0] != key:
            self._backend = (key, open_backend(*key))
        return self._backend[1]

    def report_state(
        self, task: BaseTask, request: Request, task_id: str | None, state: str, meta: Any, **extra: Any
    ) -> None:
        """Store a state of a task, through the worker when this is one of its children."""
        self._reporter.report(request, task_id, state, meta, **extra)

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
        conf = self.conf
        found: dict[str, Any] = {"queues": self.publisher.queue_names()}
        if brokers := conf.broker_read_url or conf.broker_url:
            found["broker"] = tuple(brokers)
        if conf.result_backend is not None:
            found["backend"] = conf.result_backend
        if conf.worker_concurrency:
            found["size"] = (conf.worker_concurrency, conf.worker_concurrency)
        if conf.worker_max_tasks_per_child:
            found["max_tasks_per_child"] = conf.worker_max_tasks_per_child
        if conf.worker_max_memory_per_child:
            found["max_memory_per_child"] = f"{conf.worker_max_memory_per_child}kB"
        return found

    def close(self) -> None:
        """Close the pooled connections; the app can be used again afterwards."""
        self.broker.close()
        if self._backend is not None:
            self._backend[1].close()
            self._backend = None

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


def find_apps(namespace: Iterable[Any]) -> list[App]:
    """The different apps among ``namespace``."""
    found: dict[int, App] = {id(item): item for item in namespace if isinstance(item, App)}
    return list(found.values())
