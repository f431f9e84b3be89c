"""Chains: calls of which each takes the result of the one before it.

Only the first is sent; it carries the others, the next one last, and whoever has run it sends that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.signature import Signature, add_to_option, maybe_signature, several
from workerd.app.canvas.stamping import StampingVisitor, merged, stamp_links
from workerd.app.canvas.steps import Place, prepared

if TYPE_CHECKING:
    from workerd.app.base import App

# Options of a chain that are not those of its first step.
OWN = frozenset(
    {"link", "link_error", "task_id", "group_id", "group_index", "chord", "root_id", "parent_id", "chain"}
)


class Chain(Signature):
    """Steps, one after the other; ``chain(...)`` and ``|`` make it."""

    kind = "chain"

    def __init__(
        self,
        tasks: Iterable[Mapping[str, Any]] = (),
        *,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        args: Sequence[Any] = (),
        app: App | None = None,
    ) -> None:
        members = [maybe_signature(task, app) for task in tasks]
        app = app or next((task.app for task in members if task.app is not None), None)
        super().__init__(
            "celery.chain", args, {"tasks": members}, options=options, immutable=immutable, app=app
        )

    @property
    def tasks(self) -> list[Signature]:
        """The steps."""
        tasks: list[Signature] = self.kwargs["tasks"]
        return tasks

    @tasks.setter
    def tasks(self, tasks: list[Signature]) -> None:
        self.kwargs["tasks"] = tasks

    def unchained(self) -> list[Signature]:
        """Copies of the steps; the chain's callbacks are the last one's, its errbacks those of each."""
        steps = [step.clone() for step in self.tasks]
        for callback in several(self.options.get("link")):
            steps[-1].link(callback)
        for errback in several(self.options.get("link_error")):
            for step in steps:
                step.link_error(errback)
        return steps

    def freeze(self, task_id: str | None = None, **place: Any) -> Any:
        """Freeze every step; the result is the last one's, and its ``parent`` that of the one before."""
        _, results = prepared(self, (), Place(task_id, **place), clone=False)
        if not results:
            raise ValueError("an empty chain has no result")
        return results[0]

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **stamps: Any
    ) -> None:
        """Stamp every step."""
        seen = visitor.on_chain_start(self, **stamps) if visitor is not None else None
        stamps = merged(self.options, seen, append_stamps, stamps)
        stamp_links(self, visitor, append_stamps, stamps)
        for step in self.tasks:
            step.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            visitor.on_chain_end(self, **stamps)

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send the first step with ``args`` put first; the result is that of the last."""
        if self.bound.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        options = {**self.options, **{name: value for name, value in options.items() if value is not None}}
        names = ("group_id", "group_index", "chord", "root_id", "parent_id")
        place = Place(options.get("task_id"), **{name: options.get(name) for name in names})
        whole = () if self.immutable else tuple(args)
        steps, results = prepared(
            self,
            (*whole, *self.args),
            place,
            kwargs,
            link_error=several(options.get("link_error")),
            clone=True,
        )
        if not steps:
            return None
        for callback in several(options.get("link")):
            add_to_option(steps[0], "link", callback)
        first = steps.pop()
        rest = [*(options.get("chain") or ()), *steps]
        sent = first.apply_async(chain=rest, **{k: v for k, v in options.items() if k not in OWN})
        return results[0] if steps else sent

    def apply(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run every step here and now."""
        last: Any = None
        steps = [
            step for step in self.unchained() if not (step.kind == "group" and not len(step))
        ] or self.tasks
        for step in steps:
            given = tuple(args) if last is None else (last.get(),)
            result = step.apply(given, kwargs if last is None else None, **options)
            result.parent, last = last, result
        return last

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send it."""
        return self.apply_async(args, kwargs) if self.tasks else None

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks)) or "chain()"
