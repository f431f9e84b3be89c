"""Many calls in one go: ``app.send_many``.

Errors:  TypeError and ValueError for what cannot be a call, before any is sent; UnsentError for those that
         have not arrived, each with its own reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kombu.exceptions import EncodeError

from workerd.app.canvas.signature import COMPOUND, with_stamps
from workerd.app.results.result import AsyncResult, EagerResult
from workerd.app.sending.call import CallOptions, call_arguments
from workerd.app.sending.drafting import draft_of
from workerd.app.sending.outlet.base import Posting, Waiting
from workerd.app.sending.stencils import Kind
from workerd.errors import ConfigError, RefusedError, UnavailableError, UnsentError, WorkerdError
from workerd.protocol.outgoing import new_id

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.task import Task

Result = AsyncResult | EagerResult
CallLike = Mapping[str, Any] | tuple[Any, ...]
"""A signature, or ``(task, args, kwargs, options)`` with as many of them as are needed."""


class Call(NamedTuple):
    """One call, checked; ``task`` is None for one that is not known here."""

    name: str
    task: Task | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: Mapping[str, Any]
    options: CallOptions | None
    """The same; None of a call that is like others."""
    kind: Kind | None
    id: str


def send_many(app: App, calls: Iterable[CallLike]) -> list[Result]:
    """Send all of ``calls`` in their order; the results are in it, too."""
    checked = [_checked(app, call) for call in calls]
    eager = app.conf.task_always_eager
    results: list[Result] = []
    sending: list[tuple[int, Call]] = []
    for number, call in enumerate(checked):
        if eager and call.task is not None:
            given = {name: getattr(call.options, name) for name in CallOptions.__struct_fields__}
            results.append(call.task.apply(call.args, call.kwargs, **given))
            continue
        results.append(AsyncResult(call.id, app=app, task_name=call.name))
        sending.append((number, call))
    unsent = _Sending(app, sending).run()
    parent = app.frames.current
    if parent is not None:
        for number, call in sending:
            if number not in unsent and call.given.get("add_to_parent", True):
                parent.task.add_trail(results[number])
    if unsent:
        raise UnsentError([None if n in unsent else one for n, one in enumerate(results)], unsent)
    return results


class _Sending:
    """The way of many calls to the broker; what has not arrived is told by its number."""

    def __init__(self, app: App, calls: list[tuple[int, Call]]) -> None:
        self._app, self._calls = app, calls
        self._written: list[Posting] = []  # all of them, where each is told of when it has been sent
        self._unsent: dict[int, Exception] = {}
        self._refused: dict[tuple[str, str], WorkerdError] = {}  # places that the broker does not serve

    def run(self) -> Mapping[int, Exception]:
        waiting = Waiting(self._postings())
        while True:
            try:
                self._app.publisher.send_all(waiting)
            except (ConfigError, RefusedError) as exc:
                if (posting := waiting.first()) is None:
                    raise
                self._refused[posting.place] = exc
                self._fail(waiting, exc, posting.place)
                continue
            except UnavailableError as exc:
                self._fail(waiting, exc)
            except EncodeError as exc:  # a header that JSON does not carry
                self._unsent[waiting.take().number] = exc
                continue
            self._app.publisher.tell(one for one in self._written if one.number not in self._unsent)
            return dict(sorted(self._unsent.items()))

    def _postings(self) -> Iterator[Posting]:
        for number, call in self._calls:
            try:
                posting = self._posting(number, call)
            except (EncodeError, ConfigError, ValueError, TypeError, OverflowError) as exc:
                self._unsent[number] = exc
                continue
            if self._refused and (refusal := self._refused.get(posting.place)) is not None:
                self._unsent[number] = refusal
                continue
            if self._app.publisher.tells:
                self._written.append(posting)
            yield posting

    def _posting(self, number: int, call: Call) -> Posting:
        app = self._app
        if call.kind is not None:
            like = app.stencils.filled(call.kind, call.id, call.args, call.kwargs, call.given, number)
            if like is not None:
                return like
        options = call.options or CallOptions.of(call.given)
        options.task_id = call.id
        draft = draft_of(app, call.name, call.args, call.kwargs, options)
        return app.publisher.posting(draft, options, app.own_queue(), number)

    def _fail(self, waiting: Waiting, exc: Exception, place: tuple[str, str] | None = None) -> None:
        """None of those that wait will arrive, or none of those for ``place`` that have been written."""
        for posting in waiting.leave(place):
            self._unsent[posting.number] = exc


def _checked(app: App, call: CallLike) -> Call:
    name, args, kwargs, options = _parts(call)
    args, kwargs = call_arguments(args, kwargs)
    task = app.tasks.get(name)
    if task is not None:
        task.check_arguments(args, kwargs)
        options = {**task.call_defaults(), **options}
    if options.get("producer") is not None or options.get("connection") is not None:
        raise TypeError("send_many sends over the app's own connections: leave producer and connection out")
    # What runs here is not sent.
    kind = None if app.conf.task_always_eager else app.stencils.find(name, options)
    checked = CallOptions.of(options) if kind is None else None
    return Call(name, task, args, kwargs, options, checked, kind, options.get("task_id") or new_id())


def _parts(call: CallLike) -> tuple[str, Any, Any, Mapping[str, Any]]:
    if type(call) is not tuple and isinstance(call, Mapping):
        if call.get("subtask_type") in COMPOUND or not isinstance(call.get("task"), str):
            raise TypeError(f"send_many takes signatures of plain tasks, not {call!r}")
        return call["task"], call.get("args"), call.get("kwargs"), with_stamps(call.get("options") or {})
    if not isinstance(call, tuple) or not 1 <= len(call) <= 4:
        raise TypeError(f"send_many takes signatures and (task, args, kwargs, options), not {call!r}")
    task, args, kwargs, options = (*call, None, None, None)[:4]
    name = task if isinstance(task, str) else getattr(task, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"a call begins with a task or its name, not {task!r}")
    return name, args, kwargs, options or {}
