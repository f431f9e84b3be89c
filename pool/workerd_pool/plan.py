"""The reconciler's mind: from what is wanted and what exists to what must be done.

Pure.  The rules, in the order in which they win:

- A closing pool keeps nothing; whoever has a job finishes it.
- A generation that comes in has a template first, then one canary child; until that canary is
  ready nothing of the current generation is touched, and while the host holds it neither.
- Children of another generation than the current one are retired when they have no job, as long as
  the ready ones stay at or above three quarters of the wanted number, rounded up.  One that is
  retired with a job would hold its place for as long as the job takes, and an idle one beside it
  would have to serve on with old code.
- A child that is spent (it has served enough) is retired at once and missed from then on.
- Missing children are made, at most one more than wanted exists at any time, and no faster
  than the restart budget allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

import msgspec


class ChildView(msgspec.Struct, frozen=True):
    """What the plan must know of one child."""

    key: int
    slot: int
    generation: int
    ready: bool = True
    busy: bool = False
    leaving: bool = False
    spent: bool = False


class View(msgspec.Struct, frozen=True):
    """Wanted and actual at one moment.

    ``current``, ``incoming`` and ``previous`` are generations, 0 for none.  ``templates`` maps the
    generations of which children can be made, or will be once it is ready, to whether it is: a
    template lives and is not leaving, or they are spawned.  ``forks`` and ``starts`` are what the
    budgets allow now.  ``held``: the generation on trial is not promoted when it has passed.
    """

    wanted: int
    current: int
    incoming: int
    templates: Mapping[int, bool]
    children: Sequence[ChildView]
    forks: int
    starts: int
    closing: bool = False
    previous: int = 0
    held: bool = False


class StartTemplate(msgspec.Struct, frozen=True):
    generation: int


class RetireTemplate(msgspec.Struct, frozen=True):
    generation: int


class Fork(msgspec.Struct, frozen=True):
    generation: int
    slot: int


class Retire(msgspec.Struct, frozen=True):
    key: int


class Promote(msgspec.Struct, frozen=True):
    """The generation that came in is current from now on; plan again."""

    generation: int


class Pass(msgspec.Struct, frozen=True):
    """The generation that came in has passed its trial, and is held."""

    generation: int


Action = StartTemplate | RetireTemplate | Fork | Retire | Promote | Pass


class Exchange(Enum):
    """How far the children of older generations are exchanged."""

    MOVING = auto()
    SETTLED = auto()
    """Whoever is left of them has a job."""
    COMPLETE = auto()
    """Nobody is left of them."""


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


def is_whole(view: View) -> bool:
    """Everything that is wanted is there and ready: whatever failed before is not missed any more."""
    there = sum(child.ready and not child.leaving and not child.spent for child in _serving(view))
    return there >= view.wanted and view.templates.get(view.current, False)


def retired_by(view: View, wanted: int) -> list[int]:
    """Keys of the children that would be retired now only because ``wanted`` is another number."""
    now = set(_retirements(view))
    return [
        action.key
        for action in _retirements(msgspec.structs.replace(view, wanted=wanted))
        if action not in now
    ]


def exchange(view: View) -> Exchange:
    """How far a reload has come; the generation on trial does not count."""
    there = [child for child in view.children if child.generation != view.incoming]
    old = [child for child in there if child.generation != view.current]
    new = [c for c in there if c.generation == view.current and not c.leaving and not c.spent]
    possible = view.forks > 0 and (view.current in view.templates or view.starts > 0)
    to_come = len(new) < view.wanted and len(there) <= view.wanted
    if (
        (to_come and possible)
        or any(not child.ready for child in new)
        or any(not child.busy for child in old)
    ):
        return Exchange.MOVING
    return Exchange.SETTLED if old else Exchange.COMPLETE


def _templates(view: View) -> Iterator[Action]:
    needed = [generation for generation in (view.current, view.incoming) if generation]
    for generation in view.templates:
        # The previous one is kept for a way back; started anew it would be the new code.
        if generation not in (*needed, view.previous):
            yield RetireTemplate(generation)
    for generation in needed:
        # With another one to go on with, a generation that comes in has one try and no budget.
        on_trial = generation == view.incoming and view.current
        if generation not in view.templates and (on_trial or view.starts > 0):
            yield StartTemplate(generation)


def _incoming(view: View, slots: Iterator[int]) -> Iterator[Action]:
    generation = view.incoming
    if not generation or not view.templates.get(generation):
        return
    canaries = [child for child in view.children if child.generation == generation and not child.leaving]
    if view.wanted == 0 or any(child.ready for child in canaries):
        yield Pass(generation) if view.held else Promote(generation)
    elif not canaries and (view.current or view.forks > 0):
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
        elif child.ready and view.current:
            if spare <= 0 or child.busy:
                continue
            spare -= 1
        yield Retire(child.key)


def _forks(view: View, slots: Iterator[int]) -> Iterator[Action]:
    if not view.templates.get(view.current):
        return
    others = [child for child in view.children if child.generation != view.incoming]
    there = sum(not child.leaving and not child.spent for child in _serving(view))
    missing = min(view.wanted - there, view.wanted + 1 - len(others), view.forks)
    for _ in range(missing):
        yield Fork(view.current, next(slots))


def _serving(view: View) -> Iterator[ChildView]:
    return (child for child in view.children if child.generation == view.current)


def _free_slots(view: View) -> Iterator[int]:
    taken = {child.slot for child in view.children}
    slot = 0
    while True:
        slot += 1
        if slot not in taken:
            yield slot
