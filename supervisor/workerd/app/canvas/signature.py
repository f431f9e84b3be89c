"""Signatures: a call that has not been made yet, as a mapping that can travel in a message.

Errors:  TypeError for one that belongs to no app, and for what is no signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from workerd.app.canvas.patience import PATIENT
from workerd.app.canvas.stamping import StampingVisitor, merged, stamp_links
from workerd.app.sending.call import CallOptions, call_arguments
from workerd.app.sending.drafting import reply_queue
from workerd.protocol.outgoing import new_id, reply_address

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.results.group import GroupResult
    from workerd.app.results.result import AsyncResult, EagerResult

# Signatures that stand for several calls; they are told apart by this field on the wire.
COMPOUND = frozenset({"chain", "group", "chord", "chunks"})

# What a signature keeps of its own, whatever the call of the whole says.
KEPT = frozenset({"group_id", "stamped_headers"})


class Signature(dict[str, Any]):
    """The call of one task with some of its arguments and options.

    Keys are those of the wire: task, args, kwargs, options, subtask_type, immutable.
    """

    kind: ClassVar[str | None] = None
    """The ``subtask_type`` on the wire."""

    app: App | None

    def __init__(
        self,
        task: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        app: App | None = None,
    ) -> None:
        args, kwargs = call_arguments(args, kwargs)
        super().__init__(
            task=task,
            args=args,
            kwargs=kwargs,
            options=dict(options or {}),
            subtask_type=self.kind,
            immutable=immutable,
        )
        self.app = app

    @classmethod
    def of(cls, data: Mapping[str, Any], app: App | None = None) -> Signature:
        """The signature, of whatever kind, that ``data`` from a message describes."""
        # The kinds are made of this one.
        from workerd.app.canvas.kinds import restored  # noqa: PLC0415

        return restored(data, app)

    @property
    def task(self) -> str:
        """The name of the task."""
        return str(self["task"])

    name = task

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments, so far as they are known."""
        return tuple(self["args"])

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its arguments by name."""
        kwargs: dict[str, Any] = self["kwargs"]
        return kwargs

    @property
    def options(self) -> dict[str, Any]:
        """The options of the call."""
        options: dict[str, Any] = self["options"]
        return options

    @property
    def immutable(self) -> bool:
        """It takes no further arguments."""
        return bool(self["immutable"])

    @property
    def id(self) -> str | None:
        """The id of the task, once it is frozen."""
        return self.options.get("task_id")

    # -- making others of it -------------------------------------------------------------------

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Add options of the call, in place."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether it takes the results of those before it."""
        self["immutable"] = immutable

    def merge(
        self, args: Sequence[Any], kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Its arguments and options with these: ``args`` go first; an immutable one takes options only."""
        args, kwargs = call_arguments(args, kwargs)
        own = self.options
        kept = KEPT.union(own.get("stamped_headers") or ())
        whole = {**own, **{k: v for k, v in options.items() if k not in kept or k not in own}}
        if self.immutable:
            return self.args, dict(self.kwargs), whole
        return (*args, *self.args), {**self.kwargs, **kwargs}, whole

    def clone(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A copy with ``args`` put first and the rest added; an immutable one takes options only."""
        args, kwargs, options = self.merge(args, kwargs, options)
        data = {**self, "args": args, "kwargs": copied(kwargs), "options": copied(options)}
        return Signature.of(data, self.app)

    def link(self, callback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send ``callback`` with the result, once there is one; returns it."""
        return add_to_option(self, "link", callback)

    def link_error(self, errback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send ``errback`` when the call fails; returns it."""
        return add_to_option(self, "link_error", errback)

    def on_error(self, errback: Mapping[str, Any]) -> Self:
        """As ``link_error``, and returns this signature."""
        self.link_error(errback)
        return self

    def __or__(self, other: Any) -> Signature:  # type: ignore[override]
        """The workflow in which ``other`` follows; not the union of two mappings."""
        # The rules know every kind.
        from workerd.app.canvas.joining import joined  # noqa: PLC0415

        return joined(self, maybe_signature(other, self.app))

    __ior__ = __or__

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **stamps: Any
    ) -> Any:
        """Put ``stamps``, and those that ``visitor`` returns, on it and on all that it is made of.

        A stamp of the same name is replaced, or joined to a list with ``append_stamps``."""
        stamp_links(self, visitor, append_stamps, stamps)
        seen = visitor.on_signature(self, **stamps) if visitor is not None else None
        return self.set(**merged(self.options, seen, append_stamps, stamps))

    # -- making the call -----------------------------------------------------------------------

    @property
    def bound(self) -> App:
        """Its app; TypeError if it has none."""
        if self.app is None:
            raise TypeError("this signature belongs to no app; make it with task.s() or app.signature()")
        return self.app

    def freeze(
        self,
        task_id: str | None = None,
        *,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> AsyncResult | GroupResult:
        """Give it an id, and its place in a workflow, and return its result; it can be sent once then."""
        options = self.options
        options.setdefault("task_id", task_id or new_id())
        if "reply_to" not in options:
            options["reply_to"] = reply_queue(self.bound) or reply_address()
        if group_id:
            options.setdefault("group_id", group_id)
        place = {"root_id": root_id, "parent_id": parent_id, "chord": chord, "group_index": group_index}
        options.update({name: value for name, value in place.items() if value is not None})
        return self.bound.AsyncResult(options["task_id"])

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send the call with ``args`` put first."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send the call with ``args`` put first and ``options`` on top of its own; returns its result."""
        app, given = self.bound, {name: value for name, value in options.items() if value is not None}
        args, kwargs, whole = self.merge(args, kwargs, given)
        whole = with_stamps(whole)
        task = app.tasks.get(self.task)
        if app.frames.following:
            # Arguments that the next task cannot take are its failure, not this one's; foreign options
            # are the notes of other clients.
            defaults = task.call_defaults() if task is not None else {}
            return app.send_task(
                self.task, args, kwargs, **{"retry_policy": PATIENT, **defaults, **known(whole)}
            )
        if task is not None:
            return task.apply_async(args, kwargs, **whole)
        return app.send_task(self.task, args, kwargs, **whole)

    def apply(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult | GroupResult:
        """Run it here and now."""
        args, kwargs, whole = self.merge(args, kwargs, options)
        return self.bound.tasks[self.task].apply(args, kwargs, **with_stamps(whole))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task as a plain function."""
        args, kwargs, _ = self.merge(args, kwargs, {})
        return self.bound.tasks[self.task](*args, **kwargs)

    def __invert__(self) -> Any:
        """Send it, and wait for its result."""
        return self.apply_async().get()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        return self.clone()

    def __repr__(self) -> str:
        given = [repr(one) for one in self.args] + [
            f"{name}={value!r}" for name, value in self.kwargs.items()
        ]
        return f"{self.task}({', '.join(given)})"


def maybe_signature(data: Any, app: App | None = None) -> Signature:
    """``data`` as a signature of ``app``; it is the same object if it is one already."""
    if isinstance(data, Signature):
        if data.app is None:
            data.app = app
        return data
    if isinstance(data, Mapping) and isinstance(data.get("task"), str):
        return Signature.of(data, app)
    raise TypeError(f"a signature is wanted, such as task.s(1), not {data!r}")


def several(value: Any) -> list[Any]:
    """An option that is one signature, or a list of them, or missing: as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def add_to_option(signature: Signature, name: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add ``item`` to a list among the options, unless it is there."""
    items = signature.options[name] = several(signature.options.get(name))
    if item not in items:
        items.append(item)
    return item


def copied(value: Any) -> Any:
    """A copy of options or arguments as deep as signatures and the lists and mappings around them go."""
    if isinstance(value, Signature):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value) if type(value) in (list, tuple) else value
    return {name: copied(item) for name, item in value.items()} if type(value) is dict else value


def with_stamps(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a call takes them: those that ``stamped_headers`` names are its stamps."""
    names = options.get("stamped_headers")
    if not names:
        return {name: value for name, value in options.items() if name != "stamped_headers"}
    stamps = {**(options.get("stamps") or {}), **{name: options[name] for name in names if name in options}}
    return {**{name: value for name, value in options.items() if name not in names}, "stamps": stamps}


def known(options: Mapping[str, Any]) -> dict[str, Any]:
    """What is meant for us among a signature's options."""
    return {name: value for name, value in options.items() if name in CallOptions.__struct_fields__}
