"""Generations: which recipe is current, which one comes in, and which one a failure goes back to.

Numbers count up from 1; 0 stands for none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from workerd_pool.contract import Spec


class Generation(msgspec.Struct):
    """One recipe, what its template has told, and whether its children are spawned instead of forked."""

    spec: Spec
    table: dict[str, Any] = msgspec.field(default_factory=dict)
    spawns: bool = False
    held: bool = False
    """Once it has passed its trial it waits for the host's word."""
    passed: bool = False
    """The host knows that it waits."""
    keeps_way_back: bool = False
    """The one before is kept, also when no child of it is left, until the host's word."""


class Generations:
    """``current`` serves, ``incoming`` is on trial, ``previous`` is kept until no child of it is left."""

    def __init__(self, spec: Spec) -> None:
        self.current = 0
        self.incoming = 0
        self.previous = 0
        self.rolling = False  # it is not told yet that only children of the current one are there
        self.settled = False  # those that are left have a job
        self.completed = False  # none of them is left
        self._last = 0
        self._newest = spec
        self._known: dict[int, Generation] = {}

    def begin(self, spec: Spec | None, *, hold: bool = False) -> int:
        """A new generation comes in, with the recipe of the newest one if None; return its number."""
        if self.incoming:
            self.drop(self.incoming)
        self._newest = spec or self._newest
        self._last += 1
        self.incoming = self._last
        self._known[self.incoming] = Generation(self._newest, held=hold, keeps_way_back=hold)
        return self.incoming

    def spec(self, generation: int) -> Spec:
        """The recipe of a generation that is known."""
        return self._known[generation].spec

    def tell(self, generation: int, table: dict[str, Any], *, spawns: bool) -> bool:
        """The template has said what this generation can run, and whether it can be forked.

        True where that is another table than what the current generation had.
        """
        known = self._known.get(generation)
        if known is None:
            return False
        changed = generation == self.current and known.table != table
        known.table, known.spawns = table, spawns
        return changed

    def spawns(self, generation: int) -> bool:
        """Its children are not forked from a template."""
        return generation in self._known and self._known[generation].spawns

    def spawning(self) -> list[int]:
        """The generations whose children are spawned."""
        return [generation for generation, known in self._known.items() if known.spawns]

    @property
    def held(self) -> bool:
        """The incoming generation waits for the host's word when it has passed its trial."""
        return self.incoming != 0 and self._known[self.incoming].held

    def passed(self) -> bool:
        """The incoming generation has passed its trial; False when that is known."""
        known = self._known[self.incoming]
        before, known.passed = known.passed, True
        return not before

    def release(self, generation: int) -> None:
        """The incoming generation may serve as soon as it has passed its trial."""
        if generation == self.incoming:
            self._known[generation].held = False

    def commit(self, generation: int) -> None:
        """The current generation needs no way back once no older child is left."""
        if generation == self.current:
            self._known[generation].keeps_way_back = False

    @property
    def keeps_way_back(self) -> bool:
        """The host has not committed itself to the current generation."""
        return self._known[self.current].keeps_way_back

    def promote(self) -> dict[str, Any]:
        """The incoming generation is current from now on; return its table."""
        self.previous, self.current, self.incoming = self.current, self.incoming, 0
        self.rolling = True
        self.settled = self.completed = False
        self._forget()
        return self._known[self.current].table

    def roll_back(self) -> dict[str, Any]:
        """The previous generation is current again; return its table."""
        self.current, self.previous = self.previous, 0
        self.rolling = True
        self.settled = self.completed = False
        if not self.incoming:
            self._newest = self._known[self.current].spec
        self._forget()
        return self._known[self.current].table

    def complete(self) -> None:
        """No child of an older generation is left, and the host wants no way back."""
        self.rolling = False
        self.no_way_back()

    def no_way_back(self) -> None:
        """What is current stays, whatever becomes of it."""
        self.previous = 0
        self._forget()

    def drop(self, generation: int) -> None:
        """The incoming generation failed or is overtaken."""
        if generation == self.incoming:
            self.incoming = 0
            if self.current:
                # A reload without a recipe repeats what works, not what has just failed.
                self._newest = self._known[self.current].spec
        self._forget()

    def _forget(self) -> None:
        kept = (self.current, self.incoming, self.previous)
        self._known = {number: known for number, known in self._known.items() if number in kept}
