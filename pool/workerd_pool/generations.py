"""Generations: which recipe is current and which one comes in.  Numbers count up from 1."""

from __future__ import annotations

from typing import Any

from workerd_pool.contract import Spec


class Generations:
    """``current`` serves, ``incoming`` is on trial; 0 for none."""

    def __init__(self, spec: Spec) -> None:
        self.current = 0
        self.incoming = 0
        self._last = 0
        self._newest = spec
        self._specs: dict[int, Spec] = {}
        self._tables: dict[int, dict[str, Any]] = {}

    def begin(self, spec: Spec | None) -> int:
        """A new generation comes in, with the recipe of the newest one if None; return its number."""
        if self.incoming:
            self.drop(self.incoming)
        self._newest = spec or self._newest
        self._last += 1
        self.incoming = self._last
        self._specs[self.incoming] = self._newest
        return self.incoming

    def spec(self, generation: int) -> Spec:
        """The recipe of a generation that is current or comes in."""
        return self._specs[generation]

    def tell_table(self, generation: int, table: dict[str, Any]) -> None:
        """The template has said what this generation can run."""
        if generation in self._specs:
            self._tables[generation] = table

    def promote(self) -> dict[str, Any]:
        """The incoming generation is current from now on; return its table."""
        before, self.current, self.incoming = self.current, self.incoming, 0
        self._specs.pop(before, None)
        self._tables.pop(before, None)
        return self._tables[self.current]

    def drop(self, generation: int) -> None:
        """The incoming generation failed or is overtaken."""
        self._specs.pop(generation, None)
        self._tables.pop(generation, None)
        if generation == self.incoming:
            self.incoming = 0
            if self.current:
                # A reload without a recipe repeats what works, not what has just failed.
                self._newest = self._specs[self.current]
