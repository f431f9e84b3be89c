"""The kinds of signatures, made from their arguments and from what came in a message.

Errors:  TypeError for what is no signature, ValueError for a kind that is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.chain import Chain
from workerd.app.canvas.chord import Chord
from workerd.app.canvas.group import Group
from workerd.app.canvas.joining import chained
from workerd.app.canvas.maps import Chunks, Map, StarMap
from workerd.app.canvas.signature import Signature, maybe_signature

if TYPE_CHECKING:
    from workerd.app.base import App


def chain(*tasks: Any, app: App | None = None, **options: Any) -> Signature:
    """``first | second | ...``; one iterable of them may be given instead."""
    steps = [maybe_signature(task, app) for task in _given(tasks)]
    if options or not steps:
        return Chain(steps, options=options, app=app)
    return chained(steps)


def group(*tasks: Any, app: App | None = None, **options: Any) -> Group:
    """Calls side by side; one iterable of them may be given instead."""
    given = tasks[0] if len(tasks) == 1 else tasks
    if isinstance(given, Group):
        given = given.tasks
    return Group([given.clone()] if isinstance(given, Signature) else given, options=options, app=app)


def chord(header: Any, body: Any = None, *, app: App | None = None, **options: Any) -> Any:
    """``header`` side by side, then ``body`` with the list of their results.

    Without a body it is to be called with one: ``chord(header)(body)`` sends it."""
    if body is None:
        return lambda body, **call: Chord(header, body, options=options, app=app).apply_async(**call)
    return Chord(header, body, options=options, app=app)


def signature(
    task: Any, args: Any = (), kwargs: Any = None, *, app: App | None = None, **more: Any
) -> Signature:
    """A signature from a task, its name, or the mapping of one; a copy if it is one.

    ``options`` are those of the call, as are all other keywords but ``immutable``."""
    if isinstance(task, Signature):
        copy = task.clone()
        copy.app = copy.app or app
        return copy
    if isinstance(task, Mapping):
        return restored(task, app)
    options = {**(more.pop("options", None) or {}), **more}
    immutable = bool(options.pop("immutable", False))
    name = task if isinstance(task, str) else task.name
    own = app or getattr(task, "app", None)
    return Signature(name, args or (), kwargs, options=options, immutable=immutable, app=own)


subtask = signature
xmap, xstarmap, chunks = Map, StarMap, Chunks


def restored(data: Mapping[str, Any], app: App | None = None) -> Signature:
    """The signature that ``data`` from a message describes."""
    if not isinstance(data.get("task"), str):
        raise TypeError(f"a signature is wanted, not {data!r}")
    kwargs, options = data.get("kwargs") or {}, dict(data.get("options") or {})
    kind, immutable, args = data.get("subtask_type"), bool(data.get("immutable")), data.get("args") or ()
    if kind is None:
        return Signature(data["task"], args, kwargs, options=options, immutable=immutable, app=app)
    if kind == "chain":
        return Chain(kwargs["tasks"], args=args, options=options, immutable=immutable, app=app)
    if kind == "group":
        return Group(kwargs["tasks"], options=options, immutable=immutable, app=app)
    if kind == "chord":
        inner = {name: value for name, value in kwargs.items() if name not in ("header", "body")}
        header = _header(kwargs["header"], app)
        return Chord(
            header, kwargs["body"], args=args, kwargs=inner, options=options, immutable=immutable, app=app
        )
    if kind == "chunks":
        return Chunks(kwargs["task"], kwargs["it"], kwargs["n"], options=options, app=app)
    if kind in ("xmap", "xstarmap"):
        made = Map if kind == "xmap" else StarMap
        return made(kwargs["task"], kwargs["it"], options=options, app=app)
    raise ValueError(f"no signature of the kind {kind!r} is known")


def _header(header: Any, app: App | None) -> Any:
    return maybe_signature(header, app) if isinstance(header, Mapping) else header


def _given(tasks: Sequence[Any]) -> Iterable[Any]:
    if len(tasks) == 1 and not isinstance(tasks[0], (Mapping, str)):
        only: Iterable[Any] = tasks[0]
        return only
    return tasks
