"""The reconciler's mind: from what is wanted and what exists to what must be done.

Pure.  The rules, in the order in which they win:

- A closing pool keeps nothing; whoever has a job finishes it.
- A generation that comes in has a template first, then one canary child; until that canary is
  ready nothing of the current generation is touched.
- Children of an older generation are retired as long as the ready ones stay at or above
  three quarters of the wanted number, rounded up.
- A child that is spent (it has served enough) is retired at once and missed from then on.
- Missing children are forked, at most one more than wanted exists at any time, and no faster
  than the restart budget allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ChildView:
    """What the plan must know of one child."""

    key: int
    slot: int
    generation: int
    ready: bool = True
    busy: bool = False
    leaving: bool = False
    spent: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Wanted and actual at one moment.

    ``current`` and ``incoming`` are generations, 0 for none.  ``templates`` maps the generations
    whose template lives and is not leaving to whether it is ready.  ``forks`` and ``starts`` are
    what the budgets allow now.
    """

    wanted: int
    current: int
    incoming: int
    templates: Mapping[int, bool]
    children: Sequence[ChildView]
    forks: int
    starts: int
    closing: bool = False


@dataclass(frozen=True, slots=True)
class StartTemplate:
    generation: int


@dataclass(frozen=True, slots=True)
class RetireTemplate:
    generation: int


@dataclass(frozen=True, slots=True)
class Fork:
    generation: int
    slot: int


@dataclass(frozen=True, slots=True)
class Retire:
    key: int


@dataclass(frozen=True, slots=True)
class Promote:
    """The generation that came in is current from now on; plan again."""

    generation: int


Action = StartTemplate | RetireTemplate | Fork | Retire | Promote


def plan(view: View) -> list[Action]:
    """The next actions; after they are performed and have had their effects, plan again."""
    if view.closing:
        leave: list[Action] = [RetireTemplate(generation) for generation in view.templates]
        return leave + [Retire(child.key) for child in view.children if not child.leaving]
    slots = _free_slots(view)
    actions = [*_templates(view), *_incoming(view, slots)]
    if any(isinstance(action, Promote) for action in actions):
        return actions
    return [*actions, *_retirements(view), *_forks(view, slots)]


def least_ready(wanted: int) -> int:
    """Three quarters of ``wanted``, rounded up: how many stay ready during a reload."""
    return -(-wanted * 3 // 4)


def retired_by(view: View, wanted: int) -> list[int]:
    """Keys of the children that would be retired now only because ``wanted`` is another number."""
    now = set(_retirements(view))
    return [action.key for action in _retirements(replace(view, wanted=wanted)) if action not in now]


def _templates(view: View) -> Iterator[Action]:
    needed = [generation for generation in (view.current, view.incoming) if generation]
    for generation in view.templates:
        if generation not in needed:
            yield RetireTemplate(generation)
    for generation in needed:
        # A generation that comes in has one try and no budget.
        if generation not in view.templates and (generation == view.incoming or view.starts > 0):
            yield StartTemplate(generation)


def _incoming(view: View, slots: Iterator[int]) -> Iterator[Action]:
    generation = view.incoming
    if not generation or not view.templates.get(generation):
        return
    canaries = [child for child in view.children if child.generation == generation and not child.leaving]
    if view.wanted == 0 or any(child.ready for child in canaries):
        yield Promote(generation)
    elif not canaries:
        yield Fork(generation, next(slots))


def _retirements(view: View) -> Iterator[Retire]:
    staying = []
    for child in view.children:
        if child.spent and not child.leaving:
            yield Retire(child.key)
        elif not child.leaving and child.generation != view.incoming:
            staying.append(child)
    # Whom nobody will miss first: not ready, then idle, then the highest slot.
    staying.sort(key=lambda child: (child.ready, child.busy, -child.slot))
    excess = sum(child.generation == view.current for child in staying) - view.wanted
    spare = sum(child.ready for child in staying) - least_ready(view.wanted)
    for child in staying:
        if child.generation == view.current:
            if excess <= 0:
                continue
            excess -= 1
        elif child.generation < view.current and child.ready:
            if spare <= 0:
                continue
            spare -= 1
        yield Retire(child.key)


def _forks(view: View, slots: Iterator[int]) -> Iterator[Action]:
    if not view.templates.get(view.current):
        return
    others = [child for child in view.children if child.generation != view.incoming]
    there = sum(
        child.generation == view.current and not child.leaving and not child.spent for child in others
    )
    missing = min(view.wanted - there, view.wanted + 1 - len(others), view.forks)
    for _ in range(missing):
        yield Fork(view.current, next(slots))


def _free_slots(view: View) -> Iterator[int]:
    taken = {child.slot for child in view.children}
    slot = 0
    while True:
        slot += 1
        if slot not in taken:
            yield slot
