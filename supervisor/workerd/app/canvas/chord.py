"""Chords: a header of calls side by side, and a body that takes the list of their results.

Whoever ends the last call of the header sends the body; see ``app.canvas.parts``.  A backend that cannot
count them has ``celery.chord_unlock`` look every second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.group import Group
from workerd.app.canvas.signature import Signature, add_to_option, copied, maybe_signature, several
from workerd.app.canvas.stamping import StampingVisitor, merged, stamp_links
from workerd.app.canvas.steps import shortened, without_body
from workerd.app.canvas.waiting import wait_for_header
from workerd.protocol.outgoing import new_id

if TYPE_CHECKING:
    from workerd.app.base import App

# Options of the whole that are not those of the calls in its header.
_NOT_OF_HEADER = frozenset({"chain", "chord", "task_id"})


class Chord(Signature):
    """A header and a body."""

    kind = "chord"

    def __init__(
        self,
        header: Any,
        body: Mapping[str, Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        app: App | None = None,
    ) -> None:
        body = maybe_signature(body, app)
        tasks = _header(header, app)
        app = app or next((one.app for one in (*tasks, body) if one.app is not None), None)
        inner = {"kwargs": {}, **(kwargs or {}), "header": header if isinstance(header, Group) else tasks}
        super().__init__(
            "celery.chord", args, {**inner, "body": body}, options=options, immutable=immutable, app=app
        )

    @property
    def header(self) -> list[Signature]:
        """The calls of the header."""
        found = self.kwargs["header"]
        tasks: list[Signature] = found.tasks if isinstance(found, Group) else found
        return tasks

    tasks = header

    @property
    def body(self) -> Signature:
        """What takes their results."""
        body: Signature = self.kwargs["body"]
        return body

    @body.setter
    def body(self, body: Signature) -> None:
        self.kwargs["body"] = body

    @property
    def has_long_body(self) -> bool:
        """Its body is a chain whose first step is one call, so that the others can follow the chord."""
        body = self.body
        return body.kind == "chain" and bool(body.kwargs["tasks"]) and body.kwargs["tasks"][0].kind != "group"

    def header_group(self) -> Group:
        """The header as a group, which it is from now on."""
        found = self.kwargs["header"]
        if not isinstance(found, Group):
            found = self.kwargs["header"] = Group(found, app=self.app)
        return found

    def set_immutable(self, immutable: bool) -> None:
        """Whether the header takes the result of what comes before."""
        for task in self.header:
            task.set_immutable(immutable)

    def link(self, callback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send ``callback`` with the body's result."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send ``errback`` when the body, or a call of the header, fails."""
        errback = maybe_signature(errback, self.app)
        everywhere = self.app is not None and self.app.conf.task_allow_error_cb_on_chord_header
        for task in self.header:
            if everywhere:
                task.link_error(errback.clone().set(immutable=True))
            if isinstance(task, Chord):
                task.link_error(errback)
        self.body.link_error(errback)
        return errback

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **stamps: Any
    ) -> None:
        """Stamp the header and the body."""
        seen = visitor.on_chord_header_start(self, **stamps) if visitor is not None else None
        stamps = merged(self.options, seen, append_stamps, stamps)
        stamp_links(self, visitor, append_stamps, stamps)
        for task in self.header:
            task.stamp(visitor, append_stamps, **stamps)
        if visitor is None:
            return
        visitor.on_chord_header_end(self, **stamps)
        seen = visitor.on_chord_body(self, **stamps)
        self.body.stamp(visitor, append_stamps, **merged(self.options, seen, append_stamps, stamps))

    def freeze(
        self,
        task_id: str | None = None,
        *,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Freeze the header and the body; the result is the body's, and that of the header its parent."""
        header = self.header_group()
        first = header.freeze(parent_id=parent_id, root_id=root_id, chord=self.body)
        self.options["task_id"] = header.id
        result = last = self.body.freeze(
            task_id, root_id=root_id, chord=chord, group_id=group_id, group_index=group_index
        )
        while last.parent is not None:
            last = last.parent
        last.parent = first
        return result

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send the header with ``args`` put first; the result is that of the body."""
        kwargs = dict(kwargs or {})
        body = maybe_signature(kwargs.pop("body", None) or self.body, self.app)
        own = {**self.options, **body.options}
        given = {name: value for name, value in options.items() if value is not None or own.get(name) is None}
        callbacks, delay = _taken(given, "link", "link_error"), _taken(given, "countdown", "eta")
        body_id = given.pop("task_id", None)
        body = body.clone(**{name: value for name, value in given.items() if name != "parent_id"})
        args = (*(() if self.immutable else args), *self.args)
        if self.bound.conf.task_always_eager:
            return self._with_body(body, {**self.options, **callbacks}).apply(args, kwargs)
        whole = {**self.options, **given, **callbacks}
        delay = {**_taken(whole, "countdown", "eta"), **delay}
        header = self._header_to_send(whole.pop("task_id", None))
        inner = {**self.kwargs["kwargs"], **kwargs}
        return self._run(header, body, body_id or self.options.get("task_id"), (args, inner), whole, delay)

    def _header_to_send(self, group_id: str | None) -> Group:
        header = self.kwargs["header"]
        if isinstance(header, Group):
            return Group(
                [task.clone() for task in header.tasks], options=copied(header.options), app=self.app
            )
        options = {"task_id": group_id or new_id()}
        return Group([task.clone() for task in header], options=options, app=self.app)

    def _run(
        self,
        header: Group,
        body: Signature,
        body_id: str | None,
        call: tuple[Sequence[Any], Mapping[str, Any]],
        options: dict[str, Any],
        delay: Mapping[str, Any],
    ) -> Any:
        app = self.bound
        body.app = body.app or app
        group_id, root_id = header.id or new_id(), body.options.get("root_id")
        if options:
            _add_callbacks(body, options)
            body.options.update({name: value for name, value in options.items() if name != "parent_id"})
        _shorten(body)
        result = body.freeze(body_id or new_id(), group_id=group_id, root_id=root_id)
        without_body(body)
        for name in _NOT_OF_HEADER:
            options.pop(name, None)
        header.options["task_id"] = group_id
        parts = header.freeze(group_id=group_id, chord=body, root_id=root_id)
        if header.tasks:
            wait_for_header(app, parts, body)
            args, kwargs = call
            parts = header.apply_async(args, kwargs, task_id=group_id, **options, **delay)
        else:
            body.delay([])
        last = result
        while last.parent is not None:
            last = last.parent
        last.parent = parts
        return result

    def apply(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run it here and now."""
        parts = Group([task.clone() for task in self.header], app=self.app).apply(args, kwargs)
        return self.body.apply((parts.get(),), **options)

    def _with_body(self, body: Signature, options: dict[str, Any]) -> Chord:
        _add_callbacks(body, options)
        return Chord(self.header, body, args=(), app=self.app)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Send it, with another ``body`` if one is given."""
        return self.apply_async((), {"body": body} if body is not None else {}, **options)

    def __repr__(self) -> str:
        return f"chord([{', '.join(map(repr, self.header))}], {self.body!r})"


def _header(header: Any, app: App | None) -> list[Signature]:
    if isinstance(header, Mapping):
        header = maybe_signature(header, app)
        return header.kwargs["tasks"] if header.kind in ("group", "chain") else [header]
    found: Iterable[Any] = header
    return [maybe_signature(task, app) for task in found]


def _taken(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of ``names`` that are among ``options``, which has them no more."""
    found = {name: options.pop(name) for name in names if name in options}
    return {name: value for name, value in found.items() if value is not None}


def _add_callbacks(body: Signature, options: dict[str, Any]) -> None:
    """The callbacks of the whole are those of its body."""
    for callback in several(options.pop("link", None)):
        body.link(callback)
    for errback in several(options.pop("link_error", None)):
        if isinstance(body, Group):
            body.link_error(errback)
        else:
            add_to_option(body, "link_error", errback)


def _shorten(body: Signature) -> None:
    """Chords in a chain carry no more of what follows them than they need; in place."""
    if body.kind == "chain":
        body.kwargs["tasks"] = shortened(body.kwargs["tasks"])
