"""Signatures: a call that has not been made yet, as a mapping that can travel in a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workerd.app.call import call_arguments

if TYPE_CHECKING:
    from workerd.app.base import App
    from workerd.app.result import AsyncResult, EagerResult

# Signatures that stand for several calls; they are told apart by this field on the wire.
COMPOUND = frozenset({"chain", "group", "chord", "chunks"})


class Signature(dict[str, Any]):
    """The call of one task with some of its arguments and options.

    Keys are those of the wire: task, args, kwargs, options, subtask_type, immutable.
    """

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
            subtask_type=None,
            immutable=immutable,
        )
        self.app = app

    @classmethod
    def of(cls, data: Mapping[str, Any], app: App | None = None) -> Signature:
        """The signature that ``data`` from a message describes."""
        return cls(
            data["task"],
            data.get("args") or (),
            data.get("kwargs") or {},
            options=data.get("options") or {},
            immutable=bool(data.get("immutable")),
            app=app,
        )

    def set(self, **options: Any) -> Signature:
        """Add options of the call, in place."""
        self["options"].update(options)
        return self

    def clone(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """A copy with ``args`` put first and the rest added; an immutable one takes options only."""
        fixed = self["immutable"]
        args, kwargs = call_arguments(args, kwargs)
        return Signature(
            self["task"],
            self["args"] if fixed else (*args, *self["args"]),
            self["kwargs"] if fixed else {**self["kwargs"], **kwargs},
            options={**self["options"], **options},
            immutable=fixed,
            app=self.app,
        )

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult | EagerResult:
        """Send the call with ``args`` put first."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult | EagerResult:
        """Send the call with ``args`` put first and ``options`` on top of its own."""
        if self.app is None:
            raise TypeError("this signature belongs to no app; make it with task.s() or app.signature()")
        whole = self.clone(args, kwargs, **options)
        task = self.app.tasks.get(whole["task"])
        if task is not None:
            return task.apply_async(whole["args"], whole["kwargs"], **whole["options"])
        return self.app.send_task(whole["task"], whole["args"], whole["kwargs"], **whole["options"])
