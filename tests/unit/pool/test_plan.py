"""The reconciler's plan, and a whole reload played without a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workerd_pool.plan import (
    Action,
    ChildView,
    Fork,
    Promote,
    Retire,
    RetireTemplate,
    StartTemplate,
    View,
    least_ready,
    plan,
)

MANY = 1000


def view(**changes: Any) -> View:
    base = View(wanted=2, current=1, incoming=0, templates={1: True}, children=[], forks=MANY, starts=MANY)
    return replace(base, **changes)


def children(count: int, generation: int = 1, start: int = 1, **facts: bool) -> list[ChildView]:
    return [ChildView(100 * generation + n, n, generation, **facts) for n in range(start, start + count)]


def test_nothing_to_do_when_all_is_as_wanted() -> None:
    assert plan(view(children=children(2))) == []


def test_missing_children_take_the_lowest_free_slots() -> None:
    there = [ChildView(1, 2, 1)]
    assert plan(view(wanted=3, children=there)) == [Fork(1, 1), Fork(1, 3)]


def test_the_budget_holds_forks_back() -> None:
    assert plan(view(wanted=3, forks=0)) == []
    assert plan(view(wanted=3, forks=1)) == [Fork(1, 1)]


def test_nothing_forks_while_the_template_is_not_ready() -> None:
    assert plan(view(templates={1: False})) == []
    assert plan(view(templates={})) == [StartTemplate(1)]
    assert plan(view(templates={}, starts=0)) == []


def test_too_many_children_leave_booting_ones_first_then_idle_then_busy() -> None:
    there = [
        ChildView(1, 1, 1),
        ChildView(2, 2, 1, busy=True),
        ChildView(3, 3, 1, ready=False),
        ChildView(4, 4, 1),
    ]
    assert plan(view(wanted=3, children=there)) == [Retire(3)]
    assert plan(view(wanted=1, children=there)) == [Retire(3), Retire(4), Retire(1)]
    assert plan(view(wanted=0, children=there))[-1] == Retire(2)


def test_children_that_leave_already_are_not_told_again_but_hold_their_place() -> None:
    there = [*children(1), *children(2, start=2, busy=True, leaving=True)]
    assert plan(view(wanted=1, children=there)) == []
    assert plan(view(wanted=2, children=there)) == []


def test_a_generation_comes_in_by_template_then_canary_and_nobody_else_moves() -> None:
    old = children(2)
    assert plan(view(incoming=2, children=old)) == [StartTemplate(2)]
    assert plan(view(incoming=2, templates={1: True, 2: False}, children=old)) == []
    ready = {1: True, 2: True}
    assert plan(view(incoming=2, templates=ready, children=old)) == [Fork(2, 3)]
    booting = [*old, *children(1, 2, start=3, ready=False)]
    assert plan(view(incoming=2, templates=ready, children=booting)) == []
    canary = [*old, *children(1, 2, start=3)]
    assert plan(view(incoming=2, templates=ready, children=canary)) == [Promote(2)]


def test_a_first_generation_needs_its_canary_too() -> None:
    assert plan(view(current=0, incoming=1)) == [Fork(1, 1)]
    assert plan(view(current=0, incoming=1, wanted=0)) == [Promote(1)]


def test_what_belongs_to_a_dropped_generation_leaves_at_once() -> None:
    there = [*children(2), *children(1, 2, start=3)]
    actions = plan(view(templates={1: True, 2: True}, children=there))
    assert actions == [RetireTemplate(2), Retire(201)] or actions == [RetireTemplate(2), Retire(203)]


def test_with_no_generation_left_nothing_is_kept() -> None:
    there = children(1, 1)
    assert plan(view(current=0, templates={1: True}, children=there)) == [RetireTemplate(1), Retire(101)]


def test_an_old_generation_is_retired_down_to_three_quarters_ready() -> None:
    there = [*children(8), *children(1, 2, start=9)]
    actions = plan(view(wanted=8, current=2, templates={2: True}, children=there))
    assert actions == [Retire(108), Retire(107), Retire(106)]


def test_a_spent_child_is_retired_and_missed_at_once() -> None:
    there = [*children(1), *children(1, start=2, busy=True, spent=True)]
    assert plan(view(children=there)) == [Retire(102), Fork(1, 3)]
    gone = [*children(1), *children(1, start=2, busy=True, spent=True, leaving=True)]
    assert plan(view(children=gone)) == [Fork(1, 3)]
    assert plan(view(children=[*gone, *children(1, start=3, ready=False)])) == []


def test_no_more_than_one_replacement_starts_while_spent_children_end_their_jobs() -> None:
    there = children(3, busy=True, spent=True)
    assert plan(view(wanted=3, children=there)) == [Retire(101), Retire(102), Retire(103), Fork(1, 4)]


def test_closing_lets_everybody_go() -> None:
    there = [*children(1), *children(1, start=2, leaving=True)]
    assert plan(view(closing=True, children=there)) == [RetireTemplate(1), Retire(101)]


class World:
    """Performs actions at once, and lets children boot and leave in the order that hypothesis likes."""

    def __init__(self, wanted: int, busy: set[int]) -> None:
        self.view = view(
            wanted=wanted,
            incoming=2,
            templates={1: True, 2: True},
            children=[replace(child, busy=child.slot in busy) for child in children(wanted)],
        )
        self.key = 1000

    def step(self, choice: int) -> list[Action]:
        actions = plan(self.view)
        for action in actions:
            self._perform(action)
        there = list(self.view.children)
        waiting = [child for child in there if child.leaving or not child.ready]
        if waiting:
            child = waiting[choice % len(waiting)]
            there.remove(child)
            if not child.leaving:
                there.append(replace(child, ready=True))
            self.view = replace(self.view, children=there)
        return actions

    def _perform(self, action: Action) -> None:
        there = list(self.view.children)
        match action:
            case Fork(generation, slot):
                assert slot not in {child.slot for child in there}
                self.key += 1
                there.append(ChildView(self.key, slot, generation, ready=False))
            case Retire(key):
                there = [replace(c, leaving=True, ready=False) if c.key == key else c for c in there]
            case Promote(generation):
                self.view = replace(self.view, current=generation, incoming=0)
            case RetireTemplate(generation):
                kept = {g: ready for g, ready in self.view.templates.items() if g != generation}
                self.view = replace(self.view, templates=kept)
        self.view = replace(self.view, children=there)


@given(
    st.integers(1, 12), st.sets(st.integers(1, 12)), st.lists(st.integers(0, 99), min_size=120, max_size=120)
)
def test_a_reload_ends_with_new_children_only_and_never_breaks_its_bounds(
    wanted: int, busy: set[int], choices: list[int]
) -> None:
    world = World(wanted, busy)
    for choice in choices:
        world.step(choice)
        there = world.view.children
        assert sum(child.ready for child in there) >= least_ready(wanted)
        assert len(there) <= wanted + 1
    assert [child.generation for child in world.view.children] == [2] * wanted
    assert plan(world.view) == []


@given(st.integers(0, 8), st.integers(0, 8), st.lists(st.integers(0, 99), min_size=80, max_size=80))
def test_a_size_that_changes_during_a_reload_is_reached(first: int, then: int, choices: list[int]) -> None:
    world = World(first, set())
    for number, choice in enumerate(choices):
        if number == 7:
            world.view = replace(world.view, wanted=then)
        world.step(choice)
    assert [child.generation for child in world.view.children] == [2] * then
