"""Results of calls: wait for them, look at them, forget them.

Units:   seconds.
Errors:  TimeoutError from ``get``; UnavailableError when the backend cannot be reached; ``get`` raises
         the task's own exception, of the same type if this process knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workerd.app.results.tree import children_of, iterdeps
from workerd.backends.base import Meta, pending
from workerd.protocol import states
from workerd.protocol.failure import decode_exception

if TYPE_CHECKING:
    from workerd.app.base import App


class AsyncResult:
    """What is known of one call, by its id."""

    def __init__(
        self,
        id: str,  # noqa: A002 (the name that authors know)
        app: App,
        parent: Any = None,
        task_name: str | None = None,
    ) -> None:
        if not id:
            raise ValueError("a result needs the id of its task")
        self.id = id
        self.app = app
        self.parent = parent
        self.task_name = task_name
        self._ended: Meta | None = None

    @property
    def task_id(self) -> str:
        """The id, under its other name."""
        return self.id

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Wait for the end and return the result; a failure is raised when ``propagate``.

        Inside a running task this is refused, because children that wait for tasks can use up every
        child; ``disable_sync_subtasks=False`` allows it.  ``interval`` is taken and not used: the end is
        told, not polled for.
        """
        if disable_sync_subtasks and self.app.frames.in_child:
            raise RuntimeError(
                "a task must not wait for another task's result: it blocks the child that could run it; "
                "use link, or get(disable_sync_subtasks=False) if you are sure"
            )
        if self._ended is None:
            self._keep(self.app.backend.wait_for(self.id, timeout))
        return self.maybe_throw() if propagate else self.result

    wait = get

    def maybe_throw(self) -> Any:
        """The result now; raised when it is a failure."""
        meta = self._meta()
        if meta["status"] in states.PROPAGATE_STATES:
            exc = decode_exception(meta["result"])
            if meta.get("traceback"):
                exc.add_note(f"In the worker:\n{meta['traceback'].rstrip()}")
            raise exc
        return self.result

    @property
    def state(self) -> str:
        """The state's name; PENDING also means that nothing is known of this id."""
        return str(self._meta()["status"])

    @property
    def status(self) -> str:
        """The state, under its other name."""
        return self.state

    @property
    def result(self) -> Any:
        """The return value, the exception, or the meta of a state of the task's own."""
        meta = self._meta()
        if meta["status"] in states.EXCEPTION_STATES and meta["result"] is not None:
            return decode_exception(meta["result"])
        return meta["result"]

    @property
    def info(self) -> Any:
        """The result, under its other name."""
        return self.result

    @property
    def traceback(self) -> str | None:
        """The traceback of a failure, as text."""
        return self._meta().get("traceback")

    @property
    def date_done(self) -> str | None:
        """When it ended, ISO 8601."""
        return self._meta().get("date_done")

    @property
    def children(self) -> list[Any]:
        """The results of the calls, and of the groups of calls, that the run sent."""
        return children_of(self, self._meta().get("children") or ())

    def ready(self) -> bool:
        """True once it has ended, in whatever way."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """True once it has returned."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """True once it has failed."""
        return self.state == states.FAILURE

    def forget(self) -> None:
        """Remove the result from the backend."""
        self._ended = None
        self.app.backend.forget(self.id)

    def revoke(self, terminate: bool = False, signal: str = "TERM", **options: Any) -> Any:
        """Ask the workers not to run it; options as of ``app.control.revoke``."""
        return self.app.control.revoke(self.id, terminate=terminate, signal=signal, **options)

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """(parent, result) of this call and of all that came of it, as far as they have ended.

        Raises IncompleteStream at the first that has not, unless ``intermediate``."""
        return iterdeps(self, intermediate)

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[Any, Any]]:
        """(result, value) of this call and of all that came of it; options as of ``get``."""
        for _, result in self.iterdeps(intermediate):
            yield result, result.get(**options)

    def get_leaf(self) -> Any:
        """The value of the last of all that came of it."""
        return [value for _, value in self.collect()][-1]

    def as_list(self) -> list[str]:
        """Its id, and those of the calls that it came from."""
        return [self.id, *(self.parent.as_list() if isinstance(self.parent, AsyncResult) else ())]

    def as_tuple(self) -> Any:
        """How other results name this one among their children."""
        return ((self.id, self.parent.as_tuple() if self.parent else None), None)

    def ended_with(self, meta: Meta) -> None:
        """Somebody else has asked for it, and it has ended."""
        self._keep(meta)

    def _meta(self) -> Meta:
        return self._ended or self._keep(self.app.backend.get_meta(self.id))

    def _keep(self, meta: Meta) -> Meta:
        if meta["status"] in states.READY_STATES:
            self._ended = meta
        return meta

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"


class EagerResult(AsyncResult):
    """The result of a call that has run already, in this process."""

    def __init__(
        self,
        id: str,  # noqa: A002 (the name that authors know)
        value: Any,
        state: str,
        *,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id = id
        self.parent = None
        self.task_name = name
        self._value = value
        self._ended = {**pending(id), "status": state, "result": value, "traceback": traceback}

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """The value; a failure is raised when ``propagate``."""
        return self.maybe_throw() if propagate else self._value

    wait = get

    def maybe_throw(self) -> Any:
        """The value; raised when it is a failure."""
        if self.state in states.PROPAGATE_STATES:
            raise self._value
        return self._value

    @property
    def result(self) -> Any:
        """The return value or the exception itself."""
        return self._value

    @property
    def children(self) -> list[Any]:
        """None are kept of an eager call."""
        return []

    def forget(self) -> None:
        """Nothing: it is stored nowhere."""

    def _meta(self) -> Meta:
        assert self._ended is not None
        return self._ended
