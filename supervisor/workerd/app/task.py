"""Tasks: a named function with options, which can be called here, sent away, or run by a child.

Attributes that are not set follow the app's settings.  Subclass it for hooks and shared options, and
name the subclass with ``@app.task(base=...)``.

Units:   seconds for limits, delays and ``expires``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic

from workerd.app.canvas.kinds import signature
from workerd.app.canvas.maps import Chunks, Map, StarMap
from workerd.app.canvas.replacing import add_to_chord, replace
from workerd.app.canvas.signature import Signature
from workerd.app.results.result import AsyncResult, EagerResult
from workerd.app.running.eager import apply_here
from workerd.app.running.request import Request
from workerd.app.running.retry import retry
from workerd.app.sending.call import call_arguments, positional
from workerd.app.settings.options import FromConf
from workerd.protocol.exceptions import Retry

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    from workerd.app.base import App
    from workerd.app.results.group import GroupResult

    # With defaults, so that a plain ``Task`` is one of any arguments.
    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:
    from typing import ParamSpec, TypeVar

    P, R = ParamSpec("P"), TypeVar("R")

# Attributes of a task that are options of each of its calls.
CALL_DEFAULTS = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "serializer",
    "compression",
    "time_limit",
    "soft_time_limit",
    "ignore_result",
)


_DEFAULTS = attrgetter(*CALL_DEFAULTS)


class Task(Generic[P, R]):
    """One task of one app; ``Task[[int, int], str]`` takes two numbers and returns a text."""

    app: App = None  # type: ignore[assignment]  # set when the task is registered
    """The App to which it belongs."""
    name: str = ""
    """Under which calls name it; ``module.function`` unless it is given."""

    typing: bool = True
    """Check the arguments of a call against the function before it is sent."""
    max_retries: int | None = 3
    """How often a call may be tried again; None is without end."""
    default_retry_delay: float = 180
    """Seconds until a retry that names no time of its own."""
    trail: bool = True
    """Record what a run sends as its children."""
    throws: tuple[type[BaseException], ...] = ()
    """Expected exceptions: a failure is logged as information, without a traceback."""
    expires: float | datetime | None = None
    """When a call that has not begun is dropped: seconds after it is sent, or a time."""
    resultrepr_maxsize: int = 1024
    """How much of a result the log shows."""
    queue: str | None = None
    """Where calls go that name no queue themselves; the routes of the settings decide if it is None."""
    exchange: str | None = None
    """The same for their exchange."""
    routing_key: str | None = None
    """The same for their routing key."""

    autoretry_for: tuple[type[BaseException], ...] = ()
    """Exceptions after which a call is tried again without asking for it."""
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    """Those among them after which it is not."""
    retry_kwargs: Mapping[str, Any] = {}
    """Given to ``retry`` then, such as ``{"max_retries": 5}``."""
    retry_backoff: bool | float = False
    """Wait 1, 2, 4 ... seconds for such a retry; a number is the first wait."""
    retry_backoff_max: float = 600
    """No wait is longer than this many seconds."""
    retry_jitter: bool = True
    """Wait a random part of that time, so that many calls do not come back at once."""

    acks_late: Any = FromConf("task_acks_late")
    """Tell the broker when the call has ended (at least once), not before it begins (at most once)."""
    acks_on_failure: Any = FromConf("task_acks_on_failure")
    """A run that failed is done; if not, its message is put aside in ``<queue>.dead``."""
    acks_on_timeout: Any = FromConf("task_acks_on_timeout")
    """So is one that a limit ended; if not, its message goes back to its queue."""
    compression: Any = FromConf("task_compression")
    """How the body of its messages is packed."""
    ignore_result: Any = FromConf("task_ignore_result")
    """Store no result."""
    priority: Any = FromConf("task_default_priority")
    """Of its messages, where the broker knows any."""
    rate_limit: Any = FromConf("task_default_rate_limit")
    """Starts on one node: ``"10/m"``, ``"5/s"``, or a number for each second; 0 is no limit."""
    reject_on_worker_lost: Any = FromConf("task_reject_on_worker_lost")
    """Whether a run that its child's death cuts off starts again, up to ``max_crashes`` times; False: it has
    failed then, at the first death.  None, the default, is as True."""
    serializer: Any = FromConf("task_serializer")
    """How its arguments are written."""
    send_events: bool = True
    """Tell what happens to its runs, where the worker tells such things."""
    soft_time_limit: float | None = None
    """Seconds after which SoftTimeLimitExceeded is raised in a run; None is as the daemon's settings say."""
    store_errors_even_if_ignored: Any = FromConf("task_store_errors_even_if_ignored")
    """Store failures, also with ``ignore_result``."""
    time_limit: float | None = None
    """Seconds after which the child of a run is killed; None is as the daemon's settings say."""
    track_started: Any = FromConf("task_track_started")
    """Store the state STARTED when a run begins."""

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The task's function."""
        raise NotImplementedError(f"task {self.name} defines no run()")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as a plain call."""
        with self.app.frames.entered(self, Request(args=args, kwargs=kwargs)):
            returned: R = self.run(*args, **kwargs)
        return returned

    @property
    def request(self) -> Request:
        """The call of this task that is in progress; a blank one outside of any."""
        return self.app.frames.request_of(self) or Request()

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult | EagerResult:
        """Send a call with these arguments."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult | EagerResult:
        """Send a call; ``options`` are the fields of ``CallOptions``, and go before the task's own."""
        args, kwargs = call_arguments(args, kwargs)
        self.check_arguments(args, kwargs)
        options = {**self.call_defaults(), **options}
        if self.app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        return self.app.send_task(self.name, args, kwargs, **options)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool | None = None,
        **options: Any,
    ) -> EagerResult:
        """Run a call here and now, with retries and hooks as a child would."""
        return apply_here(self, *call_arguments(args, kwargs), throw=throw, options=options)

    def call_defaults(self) -> dict[str, Any]:
        """The options that every call of this task has unless it says otherwise."""
        given = zip(CALL_DEFAULTS, _DEFAULTS(self), strict=True)
        return {name: value for name, value in given if value is not None}

    def retry(self, *args: Any, **options: Any) -> Retry:
        """Send the current call again, under the same id, and end this run: raises Retry.

        Takes ``args`` and ``kwargs`` (else those of this call), ``exc``, ``throw=False`` to have Retry
        returned, ``countdown`` or ``eta``, ``max_retries``, and the options of a call.  Once there have been
        ``max_retries`` it raises ``exc``, or the exception being handled, or MaxRetriesExceededError.
        """
        return retry(self, *args, **options)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **extra: Any
    ) -> None:
        """Store a state of the task's own choice, such as PROGRESS, with ``meta`` as its result."""
        request = self.request
        self.app.report_state(self, request, task_id or request.id, state or "PENDING", meta, **extra)

    def send_event(self, type_: str, **fields: Any) -> None:
        """Send an event of the task's own, such as ``task-milestone``, to those who listen to events."""
        self.app.report_event(self.request, type_, fields)

    def add_trail(self, result: AsyncResult | GroupResult) -> AsyncResult | GroupResult:
        """Record ``result`` as a child of the current call."""
        if self.trail:
            self.request.children.append(result)
        return result

    def AsyncResult(self, task_id: str) -> AsyncResult:  # noqa: N802 (the name that authors know)
        """The result of one call of this task."""
        return AsyncResult(task_id, app=self.app, task_name=self.name)

    def signature(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A call that is not made yet; keywords ``immutable`` and options of the call may be given."""
        return signature(self, args, kwargs, **options)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """The signature of a call with these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """The same, immutable: the result of the task before it is not put before its arguments."""
        return self.signature(args, kwargs, immutable=True)

    def map(self, it: Iterable[Any]) -> Map:
        """One call that runs this task for each of ``it``, one after the other."""
        return Map(self.s(), it, app=self.app)

    def starmap(self, it: Iterable[Any]) -> StarMap:
        """The same, for argument lists."""
        return StarMap(self.s(), it, app=self.app)

    def chunks(self, it: Iterable[Any], n: int) -> Chunks:
        """Several calls, each of which runs this task for ``n`` argument lists of ``it``."""
        return Chunks(self.s(), it, n, app=self.app)

    def replace(self, sig: Signature) -> Any:
        """End this run, and let ``sig`` have its id, its place in a workflow and what follows it."""
        return replace(self, sig)

    def add_to_chord(self, sig: Signature, lazy: bool = False) -> Any:
        """Make ``sig`` part of the header that the current call is in; with ``lazy`` send it yourself."""
        return add_to_chord(self, sig, lazy)

    # Hooks.  They run where the task runs; what they raise is logged and changes no outcome,
    # except before_start, which is part of the run.

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Just before the function."""

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """After a run that returned."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: Any
    ) -> None:
        """After a run that raised; ``einfo`` is billiard's ExceptionInfo."""

    def on_retry(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: Any
    ) -> None:
        """After a run that asked to be tried again."""

    def after_return(
        self,
        status: str,
        retval: Any,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: Any,
    ) -> None:
        """After ``on_success`` or ``on_failure``."""

    def check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """TypeError when the function cannot be called with these, unless the task has ``typing=False``."""
        fewest, most = self._positional
        if self.typing and (kwargs or not fewest <= len(args) <= most):
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as exc:
                raise TypeError(f"{self.name}(): {exc}") from None

    @cached_property
    def _positional(self) -> tuple[float, float]:
        """How many arguments by position alone the function takes; inf and 0 when it wants others by name."""
        return positional(self._signature)

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.run)

    def __repr__(self) -> str:
        return f"<task {self.name or type(self).__name__}>"
