"""All pools of the daemon, as one: they start together, reload together and end together.

A generation of the daemon is a generation of each pool, under one number.  It serves when it has passed
its trial in every pool, and its way back is kept until no older child is left in any: when it fails in one
pool before that, all of them go back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from workerd.config.model import DEFAULT_POOL
from workerd.errors import UsageError

if TYPE_CHECKING:
    from workerd.worker.pool.reloads import Change, Reloads
    from workerd.worker.pool.step import NamedPool
    from workerd_pool import ChildInfo, Spec


class Turn(msgspec.Struct):
    """A generation that comes in, and the pools that have come so far with it."""

    passed: set[str] = msgspec.field(default_factory=set)
    up: set[str] = msgspec.field(default_factory=set)
    settled: set[str] = msgspec.field(default_factory=set)
    complete: set[str] = msgspec.field(default_factory=set)


class Pools(Mapping[str, "NamedPool"]):
    """Pools by name, the default one first.  ``on_gone`` is called once, when no child of any is left."""

    def __init__(self, reloads: Reloads, on_gone: Callable[[], None]) -> None:
        self._reloads, self._on_gone = reloads, on_gone
        self._pools: dict[str, NamedPool] = {}
        self._empty: set[str] = set()
        self._turns: dict[int, Turn] = {}

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

    def older(self) -> list[ChildInfo]:
        """Children of other generations than the one that serves."""
        return [
            child
            for pool in self.values()
            for child in pool.children()
            if child.generation != pool.generation
        ]

    def place(self, pool: str, pid: int) -> dict[str, int]:
        """Slot and generation of the child ``pid`` of ``pool``; nothing once it is gone."""
        child = self._pools[pool].child(pid)
        return {"slot": child.slot, "generation": child.generation} if child is not None else {}

    # -- what is wanted

    def start(self) -> None:
        """Begin with generation 1, in every pool."""
        self._turns[1] = Turn()
        for pool in self.values():
            pool.start(hold=True)
            pool.want(pool.bounds[0], reason="start")

    def reload(self, recipe: Callable[[str], Spec]) -> int:
        """Bring in a new generation in every pool, by ``recipe(name)``; return its number."""
        # One that is still on trial is overtaken, and nobody waits for its end.
        self._turns = {number: turn for number, turn in self._turns.items() if turn.up}
        # Nothing is told before the loop turns again, so that no pool is ahead of its turn.
        numbers = {pool.reload(recipe(name), hold=True) for name, pool in self.items()}
        generation = max(numbers)
        self._turns[generation] = Turn()
        return generation

    def hold_output(self, held: bool) -> None:
        """While held, what tasks print waits at them."""
        for pool in self.values():
            pool.hold_output(held)

    def close(self) -> None:
        """Idle children leave now, busy ones after their task."""
        for pool in self.values():
            pool.close()

    def terminate(self) -> None:
        """KILL all children and templates."""
        for pool in self.values():
            pool.terminate()

    # -- what the pools tell

    def passed(self, name: str, generation: int) -> None:
        """``generation`` has passed its trial in this pool."""
        turn = self._turns.get(generation)
        if turn is not None and self._all(turn.passed, name):
            for pool in self.values():
                pool.promote(generation)

    def came_up(self, name: str, generation: int, change: Change) -> None:
        """``generation`` is current in this pool; it is one app, so ``change`` is the same in every pool."""
        turn = self._turns.get(generation)
        if turn is not None and self._all(turn.up, name):
            for older in [number for number in self._turns if number < generation]:
                del self._turns[older]
            self._reloads.came_up(generation, change)

    def settled(self, name: str, generation: int) -> None:
        """In this pool it has replaced every older child that has no task."""
        turn = self._turns.get(generation)
        if turn is not None and self._all(turn.settled, name):
            self._reloads.settled(generation)

    def completed(self, name: str, generation: int) -> None:
        """No child of an older generation is left in this pool."""
        turn = self._turns.get(generation)
        if turn is not None and self._all(turn.complete, name):
            del self._turns[generation]
            for pool in self.values():
                pool.commit(generation)
            self._reloads.complete(generation)

    def failed(self, name: str, generation: int, reason: str, traceback: str) -> None:
        """``generation`` is dropped in this pool, so the others give it up too."""
        if self._turns.pop(generation, None) is None:
            return
        stuck = [other for other, pool in self.items() if other != name and not pool.abandon(generation)]
        if len(self) > 1:
            reason = f"pool {name}: {reason}"
        if stuck:
            reason += f"; no way back for: {', '.join(stuck)}"
        serves = min(pool.generation for pool in self.values())
        self._reloads.failed(generation, reason, traceback, serves)

    def emptied(self, name: str) -> None:
        """After a close: no child of this pool is left."""
        self._empty.add(name)
        if self.empty:
            self._on_gone()

    @property
    def empty(self) -> bool:
        """After a close: no child of any pool is left."""
        return len(self._empty) == len(self)

    def _all(self, told: set[str], name: str) -> bool:
        """Note this pool; True when it is the last one."""
        told.add(name)
        return len(told) == len(self)
