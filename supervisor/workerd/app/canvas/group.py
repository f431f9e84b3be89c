"""Groups: calls that run side by side, each with its place among the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.signature import KEPT, Signature, maybe_signature
from workerd.app.canvas.stamping import StampingVisitor, merged, stamp_links
from workerd.protocol.outgoing import new_id

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.results.group import GroupResult


class Group(Signature):
    """Calls that are sent together; those of a group in it are among them."""

    kind = "group"

    def __init__(
        self,
        tasks: Iterable[Mapping[str, Any]] = (),
        *,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        app: App | None = None,
    ) -> None:
        members = [maybe_signature(task, app) for task in tasks]
        app = app or next((task.app for task in members if task.app is not None), None)
        super().__init__(
            "celery.group", (), {"tasks": members}, options=options, immutable=immutable, app=app
        )

    @property
    def tasks(self) -> list[Signature]:
        """The members."""
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def set_immutable(self, immutable: bool) -> None:
        """Whether the members take the result of what comes before."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send ``callback``, without a result, after the first member; a chord's body comes after all."""
        whole = maybe_signature(callback, self.app).clone().set(immutable=True)
        return self.tasks[0].link(whole)

    def link_error(self, errback: Mapping[str, Any]) -> Any:
        """Send ``errback`` for each member that fails."""
        return tuple(task.link_error(maybe_signature(errback, self.app).clone()) for task in self.tasks)

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **stamps: Any
    ) -> None:
        """Stamp every member."""
        seen = visitor.on_group_start(self, **stamps) if visitor is not None else None
        stamps = merged(self.options, seen, append_stamps, stamps)
        stamp_links(self, visitor, append_stamps, stamps)
        for task in self.tasks:
            task.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            visitor.on_group_end(self, **stamps)

    def freeze(
        self,
        task_id: str | None = None,
        *,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> GroupResult:
        """Freeze every member; groups in it become part of it."""
        options = self.options
        options.setdefault("task_id", new_id())
        place = {"group_id": group_id, "chord": chord, "group_index": group_index}
        options.update({name: value for name, value in place.items() if value is not None})
        root_id = options.setdefault("root_id", root_id)
        parent_id = options.setdefault("parent_id", parent_id)
        members = list(_flat(self.tasks))
        results = []
        for index, task in enumerate(members):
            task.app = task.app or self.app
            results.append(
                task.freeze(
                    group_id=group_id, chord=chord, root_id=root_id, parent_id=parent_id, group_index=index
                )
            )
        self.kwargs["tasks"] = members
        return self.bound.GroupResult(options["task_id"], results)

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        add_to_parent: bool = True,
        link: Any = None,
        link_error: Any = None,
        **options: Any,
    ) -> GroupResult:
        """Send every member with ``args`` put first."""
        if link is not None or link_error is not None:
            raise TypeError("a group has no callbacks of its own: make a chord of it, or link its members")
        app = self.bound
        if app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        if not self.tasks:
            return self.freeze()
        options, group_id = self._call(options)
        members = list(self._members(group_id, options.get("root_id")))
        with app.publisher.together():
            self._send(members, group_id, args, kwargs, options)
        result = app.GroupResult(group_id, [result for _, result in members])
        if len(result) == 1 and isinstance(result[0], type(result)):
            result = result[0]  # a chain that ends in a group: it is that one which has results
        if add_to_parent and (parent := app.frames.current) is not None:
            parent.task.add_trail(result)
        return result

    def apply(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult:
        """Run every member here and now."""
        if not self.tasks:
            return self.freeze()
        options, group_id = self._call(options)
        options.pop("chord", None)
        members = [task for task, _ in _indexed(self.tasks)]
        results = [task.clone().apply(args, kwargs, **options) for task in members]
        return self.bound.GroupResult(group_id, results)

    def __call__(self, *args: Any, **options: Any) -> GroupResult:
        """Send it."""
        return self.apply_async(args, **options)

    def _call(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """(options of each member, id of the group)."""
        own = self.options
        whole = {**own, **{k: v for k, v in options.items() if k not in KEPT or k not in own}}
        whole["group_id"] = group_id = whole.pop("task_id", None) or new_id()
        return whole, group_id

    def _members(self, group_id: str, root_id: str | None) -> Iterator[tuple[Signature, Any]]:
        for task, index in _indexed(self.tasks):
            member = task.clone()
            member.app = member.app or self.app
            yield member, member.freeze(group_id=group_id, root_id=root_id, group_index=index)

    def _send(
        self,
        members: Sequence[tuple[Signature, Any]],
        group_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        options: dict[str, Any],
    ) -> None:
        chord = options.pop("chord", None)
        options.pop("group_index", None)
        size = 0
        for number, (task, _) in enumerate(members, 1):
            body = chord if chord is not None else task.options.get("chord")
            size += parts_of(task)
            if body is not None and number == len(members) and (chords := self.bound.backend.chords):
                # Before the last is sent: only then can the first of all be counted as the last.
                chords.expect(group_id, size)
            task.apply_async(args, kwargs, add_to_parent=False, chord=body, **options)

    def __repr__(self) -> str:
        return f"group({', '.join(map(repr, self.tasks))})"


def unrolled(task: Signature) -> Signature:
    """The member of a group of one; anything else as it is."""
    return task.tasks[0] if isinstance(task, Group) and len(task) == 1 else task


def is_empty(task: Any) -> bool:
    """A group of none, which is left out where anything else stands."""
    return isinstance(task, Group) and not task.tasks


def parts_of(task: Any) -> int:
    """How many ends of calls a chord waits for, for one member of its header."""
    if task.kind == "group":
        return sum(map(parts_of, task.tasks))
    if task.kind == "chain":
        return next((size for step in reversed(task.tasks) if (size := parts_of(step))), 0)
    return parts_of(task.body) if task.kind == "chord" else 1


def _indexed(tasks: Iterable[Signature]) -> Iterator[tuple[Signature, int]]:
    """Each member with its place in its own group; those of groups in the group among them."""
    for index, task in enumerate(tasks):
        if isinstance(task, Group):
            yield from _indexed(task.tasks)
        elif task.kind != "chain" or task.kwargs["tasks"]:
            yield task, index


def _flat(tasks: Iterable[Signature]) -> Iterator[Signature]:
    """The members in the order that Celery's clients freeze them in: those of a group in it, last first."""
    waiting = deque(tasks)
    while waiting:
        task = waiting.popleft()
        if isinstance(task, Group):
            waiting.extendleft(task.tasks)
        elif task.kind != "chain" or task.kwargs["tasks"]:
            yield task
