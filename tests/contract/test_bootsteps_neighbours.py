"""What a step may require of another blueprint: what started before its own, nothing that starts later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fakes import Parent, plain
from workerd.bootsteps import Blueprint, Step
from workerd.bootsteps.order import Neighbours
from workerd.errors import ConfigError

Hub, Pool = plain("Hub"), plain("Pool", requires=("Hub",))
Tasks = plain("Tasks")


def consumer(*added: type[Step], **settings: Any) -> Blueprint:
    blueprint = Blueprint(added, "Consumer", default_steps=[Tasks])
    blueprint.neighbours = Neighbours(before=(Hub, Pool), **settings)
    return blueprint


@pytest.mark.parametrize("required", [Pool, "Pool", "tests.contract.test_bootsteps_neighbours:Pool"])
def test_what_has_started_before_is_there_and_is_not_made_again(parent: Parent, required: Any) -> None:
    mine = plain("Mine", requires=(required, "Tasks"))
    blueprint = consumer(mine).apply(parent)

    assert [step.alias for step in blueprint.order] == ["Tasks", "Mine"]
    assert blueprint.edges() == ((mine, Tasks),)


def test_a_step_of_the_own_blueprint_goes_before_one_of_that_name_elsewhere(parent: Parent) -> None:
    own = plain("Pool", name="mine.Pool")
    mine = plain("Mine", requires=("Pool",))

    assert (mine, own) in set(edges(consumer(own, mine), parent))


def test_a_class_that_is_in_both_blueprints_is_the_one_here(parent: Parent) -> None:
    blueprint = Blueprint([Pool, plain("Mine", requires=(Pool,))], "Consumer")
    blueprint.neighbours = Neighbours(before=(Hub, Pool))

    assert [step.alias for step in blueprint.apply(parent).order] == ["Pool", "Mine"]


@pytest.mark.parametrize("required", [Tasks, "Tasks", "tests.contract.test_bootsteps_neighbours.Tasks"])
def test_what_starts_later_cannot_be_required(required: Any) -> None:
    blueprint = Blueprint([plain("Mine", requires=(required,))], "Worker", default_steps=[Hub, Pool])
    blueprint.neighbours = Neighbours(later=(Tasks,))

    with pytest.raises(ConfigError, match="requires 'Tasks', which starts after the Worker blueprint"):
        blueprint.plan()


def edges(blueprint: Blueprint, parent: Parent) -> tuple[tuple[type[Step], type[Step]], ...]:
    return blueprint.apply(parent).edges()
