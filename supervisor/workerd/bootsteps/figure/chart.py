"""Chart: a blueprint as boxes and arrows, without what follows from other arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workerd.bootsteps.blueprint import Blueprint
from workerd.bootsteps.order import Edge
from workerd.bootsteps.steps import Step

After: TypeAlias = dict[type[Step], set[type[Step]]]


@dataclass(frozen=True, slots=True)
class Box:
    """One step."""

    alias: str
    after: tuple[int, ...]
    """Places in the boot order of those that it directly follows; the others follow from these."""
    origin: str = ""
    """``module.Class`` of a step that was added, empty for one of the blueprint's own."""
    off: bool = False
    """Its condition keeps it out."""
    last: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One blueprint; its boxes stand in boot order."""

    title: str
    boxes: tuple[Box, ...]

    def ranks(self) -> list[int]:
        """For each box the length of the longest way to it."""
        ranks: list[int] = []
        for box in self.boxes:
            ranks.append(1 + max((ranks[place] for place in box.after), default=-1))
        return ranks


def chart_of(blueprint: Blueprint) -> Chart:
    """The chart of a blueprint that has been applied."""
    places = {type(step): place for place, step in enumerate(blueprint.order)}
    direct = _reduced(list(places), blueprint.edges())
    return Chart(
        blueprint.alias,
        tuple(
            Box(
                step.alias,
                tuple(sorted(places[cls] for cls in direct[type(step)])),
                origin="" if type(step) in blueprint.built_in else f"{type(step)}",
                off=step not in blueprint.included,
                last=step.last,
            )
            for step in blueprint.order
        ),
    )


def _reduced(order: Sequence[type[Step]], edges: Iterable[Edge]) -> Mapping[type[Step], set[type[Step]]]:
    """The edges that do not follow from others."""
    direct: After = {cls: set() for cls in order}
    for cls, required in edges:
        direct[cls].add(required)
    above: After = {}
    for cls in order:
        above[cls] = direct[cls].union(*(above[required] for required in direct[cls]))
    return {
        cls: {one for one in required if not any(one in above[other] for other in required)}
        for cls, required in direct.items()
    }
