"""``self.request``: what a task can know of its own call, and the stack of calls in progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from workerd.app.result import AsyncResult
    from workerd.app.task import Task

Limits = tuple[float | None, float | None]


@dataclass
class Request:
    """One call of a task.  Attributes that a task sets here live as long as the call.

    ``called_directly`` is True when the task runs as a plain function; ``is_eager`` when ``apply`` runs it.
    ``timelimit`` is (hard, soft) in seconds.
    """

    id: str | None = None
    task: str | None = None
    args: list[Any] | tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    eta: str | None = None
    expires: str | None = None
    is_eager: bool = False
    called_directly: bool = True
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    delivery_info: dict[str, Any] = field(default_factory=dict)
    hostname: str | None = None
    origin: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
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
    children: list[AsyncResult] = field(default_factory=list)

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute ``name``, as of a mapping."""
        return getattr(self, name, default)


class Frame(NamedTuple):
    """A task and the call of it that is in progress."""

    task: Task
    request: Request


class Frames:
    """The calls in progress in this thread, the innermost last."""

    def __init__(self) -> None:
        self._stack: ContextVar[tuple[Frame, ...]] = ContextVar("workerd_frames", default=())

    @contextmanager
    def entered(self, task: Task, request: Request) -> Iterator[Request]:
        """``request`` is the current call of ``task`` inside this block."""
        token = self._stack.set((*self._stack.get(), Frame(task, request)))
        try:
            yield request
        finally:
            self._stack.reset(token)

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
        return next((frame.request for frame in reversed(self._stack.get()) if frame.request.id), None)

    @property
    def in_child(self) -> bool:
        """True inside a task that a worker runs, where waiting for another task can block the pool."""
        return any(not (f.request.called_directly or f.request.is_eager) for f in self._stack.get())
