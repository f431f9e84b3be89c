"""The same task for many arguments: ``map`` and ``starmap`` in one call, ``chunks`` in a few.

On the wire they are calls of a task like any other, with the task to run among their arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.group import Group
from workerd.app.canvas.signature import Signature, maybe_signature
from workerd.app.sending.call import CallOptions, plain

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.results.group import GroupResult


class _OverMany(Signature):
    """One call that runs a task for each of many arguments, one after the other."""

    builtin = ""

    def __init__(
        self,
        task: Any,
        it: Iterable[Any],
        *,
        options: Mapping[str, Any] | None = None,
        app: App | None = None,
    ) -> None:
        task = maybe_signature(task, app)
        super().__init__(
            self.builtin,
            (),
            {"task": plain(task), "it": list(it)},
            options=options,
            immutable=True,
            app=app or task.app,
        )

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send it, by the way of the task that it runs."""
        return super().apply_async(args, kwargs, **{**_way(self.bound, self.kwargs["task"]), **options})


class Map(_OverMany):
    """``task(x) for x in it``, in one call."""

    builtin = "celery.map"


class StarMap(_OverMany):
    """``task(*x) for x in it``, in one call."""

    builtin = "celery.starmap"


class Chunks(Signature):
    """``task(*x) for x in it``, ``n`` of them in each call of a group."""

    def __init__(
        self,
        task: Any,
        it: Iterable[Any],
        n: int,
        *,
        options: Mapping[str, Any] | None = None,
        app: App | None = None,
    ) -> None:
        task = maybe_signature(task, app)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"chunks are of 1 or more, not {n!r}")
        super().__init__(
            "celery.chunks",
            (),
            {"task": plain(task), "it": list(it), "n": n},
            options=options,
            immutable=True,
            app=app or task.app,
        )

    def group(self) -> Group:
        """The group that it is sent as."""
        task, it, n = self.kwargs["task"], self.kwargs["it"], self.kwargs["n"]
        parts = (StarMap(task, it[k : k + n], app=self.app) for k in range(0, len(it), n))
        return Group(parts, app=self.app)

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult:
        """Send the group."""
        return self.group().apply_async(args, kwargs, **{**self.options, **options})

    def apply(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult:
        """Run the group here and now."""
        return self.group().apply(args, kwargs, **options)

    def __call__(self, **options: Any) -> GroupResult:
        """Send the group."""
        return self.apply_async(**options)


def _way(app: App, task: Mapping[str, Any]) -> dict[str, Any]:
    """Where calls of ``task`` go: the call that runs it many times goes there too."""
    known = app.tasks.get(task["task"])
    own = (
        {} if known is None else {name: getattr(known, name) for name in ("queue", "exchange", "routing_key")}
    )
    route = app.router.way(task["task"], CallOptions(**own))
    if route.queue is not None:
        return {"queue": route.queue.name}
    return {"exchange": route.exchange, "routing_key": route.routing_key}
