"""Tasks: a named function with options, which can be called here, sent away, or run by a child.

Attributes that are not set follow the app's settings.  Subclass it for hooks and shared options, and
name the subclass with ``@app.task(base=...)``.

Units:   seconds for limits, delays and ``expires``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from workerd.app.call import call_arguments
from workerd.app.eager import apply_here
from workerd.app.options import FromConf
from workerd.app.request import Request
from workerd.app.result import AsyncResult, EagerResult
from workerd.app.retry import retry
from workerd.app.signature import Signature
from workerd.protocol.exceptions import Retry

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    from workerd.app.base import App

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


class Task(Generic[P, R]):
    """One task of one app; ``Task[[int, int], str]`` takes two numbers and returns a text."""

    app: App = None  # type: ignore[assignment]  # set when the task is registered
    name: str = ""

    typing: bool = True
    """Check the arguments of a call against the function before it is sent."""
    max_retries: int | None = 3
    """None is without end."""
    default_retry_delay: float = 180
    trail: bool = True
    """Record what a run sends as its children."""
    throws: tuple[type[BaseException], ...] = ()
    """Expected exceptions: a failure is logged as information, without a traceback."""
    expires: float | datetime | None = None
    resultrepr_maxsize: int = 1024
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None

    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True

    acks_late: Any = FromConf("task_acks_late")
    acks_on_failure: Any = FromConf("task_acks_on_failure")
    acks_on_timeout: Any = FromConf("task_acks_on_timeout")
    compression: Any = FromConf("task_compression")
    ignore_result: Any = FromConf("task_ignore_result")
    priority: Any = FromConf("task_default_priority")
    rate_limit: str | float | None = None
    reject_on_worker_lost: bool | None = None
    serializer: Any = FromConf("task_serializer")
    soft_time_limit: float | None = None
    store_errors_even_if_ignored: Any = FromConf("task_store_errors_even_if_ignored")
    time_limit: float | None = None
    track_started: Any = FromConf("task_track_started")

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
        """Send a call; ``options`` are those of ``app.call.CallOptions``."""
        args, kwargs = call_arguments(args, kwargs)
        self._check(args, kwargs)
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
        values = {name: getattr(self, name) for name in CALL_DEFAULTS}
        return {name: value for name, value in values.items() if value is not None}

    def retry(self, *args: Any, **options: Any) -> Retry:
        """Send the current call again and end this run; see ``app.retry.retry``."""
        return retry(self, *args, **options)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **extra: Any
    ) -> None:
        """Store a state of the task's own choice, such as PROGRESS, with ``meta`` as its result."""
        request = self.request
        self.app.report_state(self, request, task_id or request.id, state or "PENDING", meta, **extra)

    def add_trail(self, result: AsyncResult) -> AsyncResult:
        """Record ``result`` as a child of the current call."""
        if self.trail:
            self.request.children.append(result)
        return result

    def AsyncResult(self, task_id: str) -> AsyncResult:  # noqa: N802 (the name that authors know)
        """The result of one call of this task."""
        return AsyncResult(task_id, app=self.app, task_name=self.name)

    def signature(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A call that is not made yet; keywords ``immutable`` and options of the call may be given."""
        immutable = bool(options.pop("immutable", False))
        return Signature(self.name, args, kwargs, options=options, immutable=immutable, app=self.app)

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """The signature of a call with these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """The same, and nothing is put before its arguments."""
        return self.signature(args, kwargs, immutable=True)

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

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.typing:
            try:
                inspect.signature(self.run).bind(*args, **kwargs)
            except TypeError as exc:
                raise TypeError(f"{self.name}(): {exc}") from None

    def __repr__(self) -> str:
        return f"<task {self.name or type(self).__name__}>"
