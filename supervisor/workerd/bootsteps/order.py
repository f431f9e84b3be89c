"""Which steps a blueprint has, and in which order they start.

Two pure stages.  ``Roster`` collects the step classes that were added and all that they require,
``boot_order`` sorts them: first what ``requires`` and ``last`` demand, then the blueprint's own literal
list, then the name, so that the same steps start in the same order in every process.

Errors: ConfigError for a name that leads nowhere or is no step; StepError for steps that cannot be ordered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import NoReturn, TypeAlias

import msgspec

from workerd.bootsteps.steps import Step, alias_of, import_attr
from workerd.bootsteps.stepset import StepRef
from workerd.errors import ConfigError, StepError, close_matches

StepClass: TypeAlias = type[Step]
Edge: TypeAlias = tuple[StepClass, StepClass]
"""(a step, a step that starts before it)."""


class Neighbours(msgspec.Struct, frozen=True):
    """Steps of other blueprints, as far as ``requires`` may name them."""

    before: Collection[StepClass] = ()
    """These have all started before: whoever requires one of them has it."""
    later: Collection[StepClass] = ()
    """These start when all steps here have started: nobody here can require them."""


class Roster:
    """The step classes of one blueprint, by name, and what each of them requires."""

    def __init__(
        self,
        blueprint: str,
        defaults: Sequence[StepRef],
        added: Iterable[StepRef],
        neighbours: Neighbours | None = None,
    ) -> None:
        self.blueprint, self._neighbours = blueprint, neighbours or Neighbours()
        self._classes: dict[str, StepClass] = {}
        self._pending: list[StepClass] = []
        where = f"the {blueprint} blueprint"
        self.defaults = tuple(self._add(self._load(ref, where), where) for ref in defaults)
        for ref in sorted(added, key=str):
            self._add(self._load(ref, where), where)
        self.requires = self._resolve()

    def __iter__(self) -> Iterator[StepClass]:
        return iter(self._classes.values())

    def find(self, word: str) -> StepClass | None:
        """The step of that name, label or alias; the blueprint's own steps before added ones.

        Errors: ConfigError when two added steps share the word and no built-in one has it.
        """
        if word in self._classes:
            return self._classes[word]
        matches = _called(word, self)
        own = [cls for cls in matches if cls in self.defaults]
        if len(own or matches) > 1:
            names = ", ".join(cls.name for cls in own or matches)
            raise ConfigError(
                f"{word!r} means more than one step of the {self.blueprint} blueprint: {names}",
                "name one as module:attr",
            )
        return next(iter(own or matches), None)

    def _resolve(self) -> Mapping[StepClass, tuple[StepClass, ...]]:
        # Two passes: a bare label may name a step that only another step's import string brings in.
        bare: list[tuple[StepClass, str]] = []
        found: dict[StepClass, list[StepClass]] = {}
        while self._pending:
            cls = self._pending.pop(0)
            found[cls] = []
            for ref in _references(cls):
                if isinstance(ref, str) and ":" not in ref and "." not in ref:
                    bare.append((cls, ref))
                elif not self._is_neighbour(loaded := self._load(ref, f"step {cls.name}"), cls):
                    found[cls].append(self._add(loaded, f"step {cls.name}"))
        for cls, word in bare:
            own, others = self.find(word), _called(word, self._neighbours.later or self._neighbours.before)
            if own is not None:
                found[cls].append(own)
            elif not any(self._is_neighbour(other, cls) for other in others):
                self._unknown(word, cls)
        return {cls: tuple(dict.fromkeys(required)) for cls, required in found.items()}

    def _is_neighbour(self, required: StepClass, cls: StepClass) -> bool:
        """Whether another blueprint has seen to it that ``required`` has started."""
        if required.name in self._classes:
            return False
        if required in self._neighbours.later:
            raise ConfigError(
                f"step {cls.name} requires {alias_of(required)!r}, which starts after the {self.blueprint}"
                " blueprint",
                f"add {cls.name} to the blueprint that has {alias_of(required)!r}",
            )
        return required in self._neighbours.before

    def _load(self, ref: StepRef, where: str) -> StepClass:
        loaded: object = ref
        if isinstance(ref, str):
            # By name first: a step of __main__ or of a function's body cannot be imported again.
            loaded = self._classes.get(ref.replace(":", ".")) or self._import(ref, where)
        return checked(loaded, ref, where)

    def _import(self, path: str, where: str) -> object:
        if not path.rpartition(":" if ":" in path else ".")[0]:
            raise ConfigError(f"{where} names {path!r}, which cannot be imported", "write module:attr")
        try:
            return import_attr(path)
        except ImportError as exc:
            word = path.replace(":", ".").rpartition(".")[2]
            raise ConfigError(
                f"{where} names {path!r}, which cannot be imported: {exc}", self._suggestion(word)
            ) from exc

    def _add(self, cls: StepClass, where: str) -> StepClass:
        other = self._classes.setdefault(cls.name, cls)
        if other is not cls:
            raise StepError(
                f"{where} brings a second step of the name {cls.name!r}", "give one of them another `name`"
            )
        if cls not in self._pending:
            self._pending.append(cls)
        return cls

    def _unknown(self, word: str, cls: StepClass) -> NoReturn:
        raise ConfigError(
            f"step {cls.name} requires {word!r}, and the {self.blueprint} blueprint has no such step",
            self._suggestion(word),
        )

    def _suggestion(self, word: str) -> str:
        known = {alias_of(cls) for cls in self} | {cls.name for cls in self}
        near = close_matches(word, sorted(known), n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        return f"known steps: {', '.join(sorted(alias_of(cls) for cls in self))}"


def checked(loaded: object, ref: object, where: str) -> StepClass:
    """``loaded`` if it is a step class; ``ref`` is how ``where`` names it.  Errors: ConfigError."""
    if isinstance(loaded, type) and issubclass(loaded, Step):
        return loaded
    if isinstance(loaded, Step):
        raise ConfigError(f"{where} names {loaded!r}, an instance", "name the class: it is made later")
    raise ConfigError(f"{where} names {ref!r}, which is not a bootstep", "derive it from bootsteps.Step")


def edges_of(roster: Roster) -> tuple[Edge, ...]:
    """Every ``requires`` as an edge, and one from the last step to each other step.

    Errors: StepError when two steps say that they are last.
    """
    edges = [(cls, required) for cls in roster for required in roster.requires[cls]]
    lasts = [cls for cls in roster if cls.last]
    if len(lasts) > 1:
        names = " and ".join(cls.name for cls in lasts)
        raise StepError(
            f"{names} both say that they are last in the {roster.blueprint} blueprint",
            "set `last = True` on one step only",
        )
    for last in lasts:
        edges += [(last, cls) for cls in roster if cls is not last and (last, cls) not in edges]
    return tuple(edges)


def boot_order(roster: Roster, edges: Iterable[Edge]) -> tuple[StepClass, ...]:
    """All steps of the roster in the order in which they start.

    Errors: StepError that names the cycle when there is one.
    """
    sorter: TopologicalSorter[StepClass] = TopologicalSorter(dict.fromkeys(roster, ()))
    for cls, required in edges:
        sorter.add(cls, required)
    try:
        sorter.prepare()
    except CycleError as exc:
        # graphlib lists each step before the one that requires it, and the first again at the end.
        cycle = " -> ".join(alias_of(cls) for cls in reversed(exc.args[1]))
        raise StepError(
            f"steps of the {roster.blueprint} blueprint require each other: {cycle}",
            "take one `requires` (or `last`) out of the circle",
        ) from None
    rank = {cls: place for place, cls in enumerate(roster.defaults)}
    ready: list[tuple[int, str, StepClass]] = []
    order: list[StepClass] = []
    while sorter.is_active():
        for cls in sorter.get_ready():
            heappush(ready, (rank.get(cls, len(rank)), cls.name, cls))
        _, _, chosen = heappop(ready)
        order.append(chosen)
        sorter.done(chosen)
    return tuple(order)


def _called(word: str, classes: Iterable[StepClass]) -> list[StepClass]:
    return [cls for cls in classes if word in (cls.label, alias_of(cls), cls.__name__)]


def _references(cls: StepClass) -> Sequence[StepRef]:
    # A lone string is one name: iterating over its letters would give a puzzling error.
    return (cls.requires,) if isinstance(cls.requires, str) else tuple(cls.requires)
