"""Results of several calls: a set of them, and the group that they were sent as.

Units:   seconds.
Errors:  as of ``AsyncResult``; TimeoutError from ``join`` when not all have ended in its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from workerd.app.results.result import AsyncResult

if TYPE_CHECKING:
    from workerd.app.base import App


class ResultSet:
    """Results in an order of their own."""

    def __init__(self, results: Iterable[Any], app: App) -> None:
        self.results: list[Any] = list(results)
        self.app = app

    def add(self, result: Any) -> None:
        """Add one, unless it is there."""
        if result not in self.results:
            self.results.append(result)

    def update(self, results: Iterable[Any]) -> None:
        """Add several."""
        for result in results:
            self.add(result)

    def remove(self, result: Any) -> None:
        """Take one out, by itself or by its id; KeyError if it is not there."""
        found = [one for one in self.results if result in (one, one.id)]
        if not found:
            raise KeyError(result)
        self.results.remove(found[0])

    def discard(self, result: Any) -> None:
        """Take one out if it is there."""
        if any(result in (one, one.id) for one in self.results):
            self.remove(result)

    def clear(self) -> None:
        """Take all out."""
        self.results.clear()

    def ready(self) -> bool:
        """All have ended, in whatever way."""
        return all(result.ready() for result in self.results)

    def waiting(self) -> bool:
        """Some have not ended."""
        return not self.ready()

    def successful(self) -> bool:
        """All have returned."""
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """Some have failed."""
        return any(result.failed() for result in self.results)

    def completed_count(self) -> int:
        """How many have returned."""
        return sum(bool(result.successful()) for result in self.results)

    def maybe_throw(self, propagate: bool = True) -> None:
        """Raise the first failure that is known."""
        for result in self.results:
            if propagate:
                result.maybe_throw()

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[Any]:
        """Wait for all, and return their results in order; or give each to ``callback`` with its id."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not (disable_sync_subtasks and self.app.frames.in_child):
            self._wait(timeout, propagate)
        values = []
        for result in self.results:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            value = result.get(left, propagate, interval, disable_sync_subtasks=disable_sync_subtasks)
            if callback is None:
                values.append(value)
            else:
                callback(result.id, value)
        return values

    get = join_native = join

    def iterate(self, timeout: float | None = None) -> Iterator[tuple[str, Any]]:
        """(id, meta) of each, in order, once it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for result in self.results:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            yield result.id, self.app.backend.wait_for(result.id, left)

    iter_native = iterate

    def revoke(self, **options: Any) -> None:
        """Revoke all; options as of ``app.control.revoke``."""
        self.app.control.revoke([leaf.id for leaf in self._leaves()], **options)

    def forget(self) -> None:
        """Remove the results of all from the backend."""
        for result in self.results:
            result.forget()

    def _wait(self, timeout: float | None, propagate: bool) -> None:
        """Hear of the ends of single calls together, instead of asking for one after the other."""
        single = {one.id: one for one in self.results if type(one) is AsyncResult}
        if len(single) < 2:
            return
        for task_id, meta in self.app.backend.wait_for_many(single, timeout):
            single[task_id].ended_with(meta)
            if propagate:
                single[task_id].maybe_throw()

    def _leaves(self) -> Iterator[AsyncResult]:
        for result in self.results:
            if isinstance(result, ResultSet):
                yield from result._leaves()
            else:
                yield result

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> Any:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultSet) and other.results == self.results

    def __hash__(self) -> int:
        return hash(tuple(self.results))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(result.id for result in self.results)}]>"


class GroupResult(ResultSet):
    """The results of one group, which has an id and can be saved under it."""

    def __init__(self, id: str, results: Iterable[Any], app: App, parent: Any = None) -> None:  # noqa: A002
        super().__init__(results, app)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> list[Any]:
        """The results."""
        return self.results

    def save(self) -> None:
        """Keep in the backend which results the group has, for ``restore``."""
        backend = self.app.backend
        backend.save_group(self.id, backend.encode({"result": self.as_tuple()}))

    def delete(self) -> None:
        """Remove what ``save`` has kept."""
        self.app.backend.forget_group(self.id)

    @classmethod
    def restore(cls, group_id: str, app: App) -> GroupResult | None:
        """The group that was saved under this id; None if none was, or its time is over."""
        backend = app.backend
        data = backend.load_group(group_id)
        if data is None:
            return None
        found = result_from_tuple(backend.decode(data)["result"], app)
        return found if isinstance(found, GroupResult) else None

    def as_tuple(self) -> Any:
        """How other results name this one."""
        parent = self.parent.as_tuple() if self.parent is not None else None
        return ((self.id, parent), [result.as_tuple() for result in self.results])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupResult) and (other.id, other.results) == (self.id, self.results)

    def __hash__(self) -> int:
        return hash(self.id)

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{', '.join(result.id for result in self.results)}]>"


def result_from_tuple(data: Any, app: App) -> Any:
    """The result that ``as_tuple`` wrote: ``((id, parent), members)``, where members is None for one call."""
    if isinstance(data, (AsyncResult, ResultSet)):
        return data
    if isinstance(data, str):
        return AsyncResult(data, app=app)
    named, members = data if isinstance(data[0], (list, tuple)) else (data, None)
    task_id, parent = named
    before = result_from_tuple(parent, app) if parent else None
    if members is None:
        return AsyncResult(task_id, app=app, parent=before)
    return GroupResult(task_id, [result_from_tuple(one, app) for one in members], app, before)
