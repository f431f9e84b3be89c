"""The reconciler's plan, and a whole reload played without a process."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workerd_pool.plan import (
    Action,
    ChildView,
    Exchange,
    Fork,
    Promote,
    Retire,
    RetireTemplate,
    StartTemplate,
    View,
    exchange,
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


def test_old_children_with_a_job_keep_their_place_until_it_is_done() -> None:
    there = [*children(2, busy=True), *children(2, start=3), *children(1, 2, start=5)]
    actions = plan(view(wanted=4, current=2, previous=1, templates={1: True, 2: True}, children=there))
    assert actions == [Retire(104), Retire(103)]
    alone = view(
        wanted=2, current=2, templates={2: True}, children=[*children(2, busy=True), *children(1, 2)]
    )
    assert plan(alone) == []


def test_the_first_generation_is_tried_as_the_budgets_allow() -> None:
    first = view(current=0, incoming=1, templates={}, starts=0)
    assert plan(first) == []
    assert plan(replace(first, starts=1)) == [StartTemplate(1)]
    assert plan(replace(first, templates={1: True}, forks=0)) == []
    assert plan(replace(first, templates={1: True}, forks=1)) == [Fork(1, 1)]


def test_a_later_generation_has_its_one_try_whatever_the_budgets_say() -> None:
    old = children(2)
    assert plan(view(incoming=2, children=old, starts=0)) == [StartTemplate(2)]
    assert plan(view(incoming=2, children=old, forks=0, templates={1: True, 2: True})) == [Fork(2, 3)]


def test_the_previous_template_is_kept_and_never_started_anew() -> None:
    there = [*children(1, busy=True), *children(1, 2, start=2)]
    rolling = view(current=2, previous=1, templates={1: True, 2: True}, children=there)
    assert plan(rolling) == [Fork(2, 3)]
    assert plan(replace(rolling, templates={2: True})) == [Fork(2, 3)]
    assert plan(replace(rolling, previous=0)) == [RetireTemplate(1), Fork(2, 3)]


def test_after_a_roll_back_the_newer_children_are_exchanged_slot_by_slot() -> None:
    there = [*children(1), *children(3, 2, start=2), *children(1, 2, start=5, ready=False)]
    actions = plan(view(wanted=4, current=1, templates={1: True, 2: True}, children=there))
    assert actions == [RetireTemplate(2), Retire(205), Retire(204)]


@pytest.mark.parametrize(
    ("there", "stage"),
    [
        ([*children(2), *children(1, 2, start=3)], Exchange.MOVING),
        ([*children(1, busy=True), *children(1, 2, start=3, ready=False)], Exchange.MOVING),
        ([*children(1, leaving=True), *children(2, 2, start=3)], Exchange.MOVING),
        ([*children(1, busy=True), *children(1, 2, start=3)], Exchange.MOVING),
        ([*children(2, busy=True), *children(1, 2, start=3)], Exchange.SETTLED),
        ([*children(1, busy=True, leaving=True), *children(2, 2, start=3)], Exchange.SETTLED),
        ([*children(2, 2), *children(1, 3, start=3)], Exchange.COMPLETE),
    ],
)
def test_how_far_an_exchange_has_come(there: list[ChildView], stage: Exchange) -> None:
    assert exchange(view(current=2, incoming=3, templates={2: True, 3: True}, children=there)) is stage


def test_an_exchange_does_not_wait_for_children_that_cannot_come() -> None:
    stuck = view(current=2, templates={}, starts=0, children=children(1, 2))
    assert exchange(stuck) is Exchange.COMPLETE
    assert exchange(replace(stuck, starts=1)) is Exchange.MOVING
    assert exchange(replace(stuck, templates={2: True}, forks=0)) is Exchange.COMPLETE


def test_closing_lets_everybody_go() -> None:
    there = [*children(1), *children(1, start=2, leaving=True)]
    assert plan(view(closing=True, children=there)) == [RetireTemplate(1), Retire(101)]


class World:
    """Performs actions at once, and lets children boot, leave and end their jobs as hypothesis likes."""

    def __init__(self, wanted: int, busy: set[int]) -> None:
        self.view = view(
            wanted=wanted,
            incoming=2,
            templates={1: True, 2: True},
            children=[replace(child, busy=child.slot in busy) for child in children(wanted)],
        )
        self.key = 1000
        self.stages: list[Exchange] = []

    def step(self, choice: int) -> list[Action]:
        actions = plan(self.view)
        for action in actions:
            self._perform(action)
        self.stages.append(exchange(self.view))
        there = list(self.view.children)
        waiting = [child for child in there if child.busy or child.leaving or not child.ready]
        if waiting:
            child = waiting[choice % len(waiting)]
            there.remove(child)
            if child.busy:
                there.append(replace(child, busy=False))
            elif not child.leaving:
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
                self.view = replace(self.view, current=generation, previous=self.view.current, incoming=0)
            case RetireTemplate(generation):
                kept = {g: ready for g, ready in self.view.templates.items() if g != generation}
                self.view = replace(self.view, templates=kept)
        self.view = replace(self.view, children=there)

    def roll_back(self) -> None:
        self.view = replace(self.view, current=1, previous=0)


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
        assert not any(child.busy and child.leaving for child in there)
    assert [child.generation for child in world.view.children] == [2] * wanted
    assert world.stages[-1] is Exchange.COMPLETE
    world.view = replace(world.view, previous=0)
    assert plan(world.view) == [RetireTemplate(1)]


@given(
    st.integers(1, 12),
    st.sets(st.integers(1, 12)),
    st.integers(3, 40),
    st.lists(st.integers(0, 99), min_size=160, max_size=160),
)
def test_a_roll_back_at_any_step_ends_with_old_children_only(
    wanted: int, busy: set[int], when: int, choices: list[int]
) -> None:
    world = World(wanted, busy)
    for number, choice in enumerate(choices):
        if number >= when and world.view.current == 2 and world.view.previous:
            world.roll_back()
        world.step(choice)
        assert sum(child.ready for child in world.view.children) >= least_ready(wanted)
        assert len(world.view.children) <= wanted + 1
    assert [child.generation for child in world.view.children] == [1] * wanted


@given(
    st.integers(0, 8),
    st.integers(0, 8),
    st.sets(st.integers(1, 8)),
    st.lists(st.integers(0, 99), min_size=100, max_size=100),
)
def test_a_size_that_changes_during_a_reload_is_reached(
    first: int, then: int, busy: set[int], choices: list[int]
) -> None:
    world = World(first, busy)
    for number, choice in enumerate(choices):
        if number == 7:
            world.view = replace(world.view, wanted=then)
        world.step(choice)
    assert [child.generation for child in world.view.children] == [2] * then
