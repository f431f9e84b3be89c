"""``self.request``: what a task can know of its own call, and the stack of calls in progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from workerd.app.results.group import GroupResult
    from workerd.app.results.result import AsyncResult
    from workerd.app.task import Task

Limits = tuple[float | None, float | None]


@dataclass
class Request:
    """One call of a task.  Attributes that a task sets here live as long as the call.

    ``called_directly`` is True when the task runs as a plain function; ``is_eager`` when ``apply`` runs it.
    ``timelimit`` is (hard, soft) in seconds.
    """

    id: str | None = None
    """The id of the call, and of its result."""
    task: str | None = None
    """The name of the task."""
    args: list[Any] | tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    """How often it has been tried again."""
    eta: str | None = None
    """When it was due, ISO 8601."""
    expires: str | None = None
    """Until when it had to begin, ISO 8601."""
    is_eager: bool = False
    called_directly: bool = True
    headers: dict[str, Any] = field(default_factory=dict)
    """Headers that its sender has added."""
    properties: dict[str, Any] = field(default_factory=dict)
    delivery_info: dict[str, Any] = field(default_factory=dict)
    """By which way it came: ``exchange``, ``routing_key``, ``priority``, ``redelivered``."""
    hostname: str | None = None
    """The node that runs it."""
    origin: str | None = None
    """Who has sent it, ``gen123@host``."""
    reply_to: str | None = None
    correlation_id: str | None = None
    root_id: str | None = None
    """The call that all others of its workflow come from."""
    parent_id: str | None = None
    """The call that has sent it."""
    group: str | None = None
    group_index: int | None = None
    chord: Any = None
    chain: list[Any] | None = None
    callbacks: list[Any] | None = None
    errbacks: list[Any] | None = None
    timelimit: Limits = (None, None)
    ignore_result: bool | None = None
    replaced_task_nesting: int = 0
    shadow: str | None = None
    argsrepr: str = ""
    kwargsrepr: str = ""
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] = field(default_factory=dict)
    utc: bool = True
    deaths: int = 0
    """Children that this message has killed before."""
    children: list[AsyncResult | GroupResult] = field(default_factory=list)
    """The calls that it has sent."""

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute ``name``, as of a mapping."""
        return getattr(self, name, default)


class Frame(NamedTuple):
    """A task and the call of it that is in progress."""

    task: Task
    request: Request


class Entered:
    """A frame on the stack, for as long as its ``with`` block runs."""

    __slots__ = ("_frame", "_stack", "_token")

    def __init__(self, stack: ContextVar[tuple[Frame, ...]], frame: Frame) -> None:
        self._stack, self._frame = stack, frame

    def __enter__(self) -> Request:
        self._token = self._stack.set((*self._stack.get(), self._frame))
        return self._frame.request

    def __exit__(self, *exc_info: object) -> None:
        self._stack.reset(self._token)


class Frames:
    """The calls in progress in this thread, the innermost last."""

    def __init__(self) -> None:
        self._stack: ContextVar[tuple[Frame, ...]] = ContextVar("workerd_frames", default=())
        self._following: ContextVar[bool] = ContextVar("workerd_following", default=False)

    def entered(self, task: Task, request: Request) -> Entered:
        """``request`` is the current call of ``task`` inside a ``with`` block."""
        return Entered(self._stack, Frame(task, request))

    @property
    def current(self) -> Frame | None:
        """The innermost call."""
        stack = self._stack.get()
        return stack[-1] if stack else None

    def request_of(self, task: Task) -> Request | None:
        """The innermost call of ``task``."""
        return next((frame.request for frame in reversed(self._stack.get()) if frame.task is task), None)

    @property
    def sender(self) -> Request | None:
        """The innermost call that has an id: the parent of what is sent now."""
        stack = self._stack.get()
        return next((frame.request for frame in reversed(stack) if frame.request.id), None) if stack else None

    @property
    def following(self) -> bool:
        """What is sent now follows a run that has ended."""
        return self._following.get()

    @contextmanager
    def follow(self) -> Iterator[None]:
        """What is sent within follows a run: patiently, and whatever becomes of it."""
        token = self._following.set(True)
        try:
            yield
        finally:
            self._following.reset(token)

    @property
    def in_child(self) -> bool:
        """True inside a task that a worker runs, where waiting for another task can block the pool."""
        return any(not (f.request.called_directly or f.request.is_eager) for f in self._stack.get())
