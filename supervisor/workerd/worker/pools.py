"""All pools of the daemon, as one: they start together, reload together and end together.

A generation of the daemon is a generation of each pool, under one number.  It is up when it is up in every
pool; the pools tell one by one, and the daemon's reloads hear of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerd.config.model import DEFAULT_POOL
from workerd.errors import UsageError

if TYPE_CHECKING:
    from workerd.worker.pool import NamedPool
    from workerd.worker.reloads import Reloads
    from workerd_pool import Spec


@dataclass(slots=True)
class Trial:
    """A generation that comes in, and the pools that have not told yet how it went."""

    generation: int
    waiting: set[str]
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(reason, traceback), the first to come first."""
    gone: list[str] = field(default_factory=list)
    """Tasks that the new code does not have any more."""


class Pools(Mapping[str, "NamedPool"]):
    """Pools by name, the default one first.  ``on_gone`` is called once, when no child of any is left."""

    def __init__(self, reloads: Reloads, on_gone: Callable[[], None]) -> None:
        self._reloads, self._on_gone = reloads, on_gone
        self._pools: dict[str, NamedPool] = {}
        self._empty: set[str] = set()
        self._trial: Trial | None = None

    def __getitem__(self, name: str) -> NamedPool:
        return self._pools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def add(self, pool: NamedPool) -> None:
        """One pool more, before the start."""
        self._pools[pool.name] = pool

    @property
    def default(self) -> NamedPool:
        """The pool that every daemon has."""
        return self._pools[DEFAULT_POOL]

    def named(self, name: str) -> NamedPool:
        """The pool ``name``.  Raises UsageError."""
        if name not in self._pools:
            raise UsageError(f"there is no pool {name!r}", f"pools: {', '.join(self._pools)}")
        return self._pools[name]

    @property
    def generation(self) -> int:
        """The generation that serves; 0 before the first is up."""
        return self.default.generation

    # -- what is wanted

    def start(self) -> None:
        """Begin with generation 1, in every pool."""
        self._trial = Trial(1, set(self))
        for pool in self.values():
            pool.start()
            pool.want(pool.bounds[0], reason="start")

    def reload(self, recipe: Callable[[str], Spec]) -> int:
        """Bring in a new generation in every pool, by ``recipe(name)``; return its number."""
        # Before any pool begins: one may tell of its failure at once.
        self._trial = Trial(self.generation + 1, set(self))
        numbers = [pool.reload(recipe(name)) for name, pool in self.items()]
        self._trial.generation = max(numbers)
        return self._trial.generation

    def close(self) -> None:
        """Idle children leave now, busy ones after their task."""
        for pool in self.values():
            pool.close()

    def terminate(self) -> None:
        """KILL all children and templates."""
        for pool in self.values():
            pool.terminate()

    # -- what the pools tell

    def came_up(self, name: str, generation: int, gone: list[str]) -> None:
        """``generation`` is current in this pool, and without the tasks ``gone``."""
        if self._trial is not None and generation == self._trial.generation:
            self._trial.gone = gone  # it is one app, so they are the same in every pool
        self._told(name, generation)

    def failed(self, name: str, generation: int, reason: str, traceback: str) -> None:
        """``generation`` is dropped in this pool."""
        if len(self) > 1:
            reason = f"pool {name}: {reason}"
        if self._trial is not None and generation == self._trial.generation:
            self._trial.failures.append((reason, traceback))
        self._told(name, generation)

    def emptied(self, name: str) -> None:
        """After a close: no child of this pool is left."""
        self._empty.add(name)
        if self.empty:
            self._on_gone()

    @property
    def empty(self) -> bool:
        """After a close: no child of any pool is left."""
        return len(self._empty) == len(self)

    def _told(self, name: str, generation: int) -> None:
        trial = self._trial
        if trial is None or generation != trial.generation:
            return
        trial.waiting.discard(name)
        first_of_all = self._reloads.up == 0
        if trial.waiting and not (first_of_all and trial.failures):
            return
        self._trial = None
        if trial.failures:
            reasons = "; ".join(reason for reason, _ in trial.failures)
            self._reloads.failed(generation, reasons, trial.failures[0][1])
        else:
            self._reloads.succeeded(generation, len(self.default.lane.tasks), trial.gone)
