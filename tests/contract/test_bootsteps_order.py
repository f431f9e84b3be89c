"""Which steps a blueprint has, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fakes import Parent, made, plain, recorder
from workerd.bootsteps import Blueprint, Step
from workerd.errors import ConfigError, StepError

SEVEN = ["Hub", "Timer", "Pool", "Autoscaler", "Beat", "Notify", "Consumer"]


class Elsewhere(Step):
    """A step that only an import string brings in."""

    requires = ("Pool",)


class NotAStep:
    pass


def order(blueprint: Blueprint) -> list[str]:
    return [step.alias for step in blueprint.order]


def defaults() -> list[type[Step]]:
    return [plain(label, last=label == "Consumer") for label in SEVEN]


def with_steps(parent: Parent, *added: Any) -> Blueprint:
    return Blueprint(added, "Worker", default_steps=defaults()).apply(parent)


def test_built_in_steps_keep_their_literal_order(parent: Parent) -> None:
    assert order(with_steps(parent)) == SEVEN


def test_added_steps_come_after_the_built_in_ones_and_before_the_last(parent: Parent) -> None:
    blueprint = with_steps(parent, plain("Zebra"), plain("Ant"))

    assert order(blueprint) == [*SEVEN[:-1], "Ant", "Zebra", "Consumer"]


def test_an_added_step_that_a_built_in_one_requires_comes_first(parent: Parent) -> None:
    blueprint = made(plain("Pool", requires=("Cache",)), plain("Cache"), parent=parent)

    assert order(blueprint) == ["Cache", "Pool"]


def test_requirements_win_over_names(parent: Parent) -> None:
    blueprint = with_steps(parent, plain("A", requires=("B",)), plain("B", requires=("C",)), plain("C"))

    assert order(blueprint)[-4:] == ["C", "B", "A", "Consumer"]


def test_the_order_does_not_depend_on_the_order_of_adding(parent: Parent) -> None:
    steps = [plain(letter, name=f"proj.{letter}") for letter in "qwertyuiop"]

    forward, backward = with_steps(Parent(), *steps), with_steps(Parent(), *reversed(steps))

    assert order(forward) == order(backward)


@pytest.mark.parametrize("form", ["class", "name", "label", "module:attr", "module.attr"])
def test_requires_takes_classes_labels_names_and_import_strings(parent: Parent, form: str) -> None:
    forms: dict[str, Any] = {
        "class": Elsewhere,
        "name": Elsewhere.name,
        "label": "Elsewhere",
        "module:attr": f"{__name__}:Elsewhere",
        "module.attr": f"{__name__}.Elsewhere",
    }
    user = plain("Aaa", requires=(forms[form],))

    assert order(with_steps(parent, user, Elsewhere))[-3:] == ["Elsewhere", "Aaa", "Consumer"]


def test_requires_may_be_one_string(parent: Parent) -> None:
    assert order(made(plain("B", requires="A"), plain("A"), parent=parent)) == ["A", "B"]


def test_a_step_required_from_elsewhere_is_installed(parent: Parent) -> None:
    blueprint = with_steps(parent, plain("User", requires=(f"{__name__}:Elsewhere",)))

    assert "Elsewhere" in order(blueprint)


def test_steps_may_be_added_as_import_strings(parent: Parent) -> None:
    assert "Elsewhere" in order(with_steps(parent, f"{__name__}:Elsewhere", Elsewhere))


def test_a_label_may_name_a_step_that_another_step_brings_in(parent: Parent) -> None:
    first = plain("Aaa", requires=("Elsewhere",))
    second = plain("Bbb", requires=(f"{__name__}.Elsewhere",))

    assert order(with_steps(parent, first, second))[-4:] == ["Elsewhere", "Aaa", "Bbb", "Consumer"]


def test_resolving_leaves_the_class_as_it_was_written(parent: Parent) -> None:
    user = plain("User", requires=("Pool",))
    with_steps(parent, user)

    assert user.requires == ("Pool",)


def test_a_label_means_the_built_in_step_before_an_added_one(parent: Parent) -> None:
    mine = plain("Pool", name="proj.Pool")
    blueprint = with_steps(parent, mine, plain("User", requires=("Pool",)))

    assert blueprint["Pool"].name == "fakes.Pool"
    assert blueprint["proj.Pool"].name == "proj.Pool"


def test_a_cycle_is_an_error_that_names_it(parent: Parent) -> None:
    steps = [plain("A", requires=("B",)), plain("B", requires=("C",)), plain("C", requires=("A",))]

    with pytest.raises(
        StepError, match=r"require each other: (A -> B -> C -> A|B -> C -> A -> B|C -> A -> B)"
    ):
        with_steps(parent, *steps)


def test_a_step_that_requires_itself_is_a_cycle(parent: Parent) -> None:
    with pytest.raises(StepError, match="A -> A"):
        made(plain("A", requires=("A",)), parent=parent)


def test_nothing_may_require_the_last_step(parent: Parent) -> None:
    with pytest.raises(StepError, match=r"require each other: .*Consumer"):
        with_steps(parent, plain("Late", requires=("Consumer",)))


def test_two_last_steps_are_an_error_that_names_both(parent: Parent) -> None:
    with pytest.raises(StepError, match=r"fakes\.Consumer and proj\.End both say that they are last"):
        with_steps(parent, plain("End", name="proj.End", last=True))


def test_an_unknown_label_is_an_error_with_a_suggestion(parent: Parent) -> None:
    with pytest.raises(ConfigError, match=r"step fakes\.User requires 'Pol'.*did you mean 'Pool'\?"):
        with_steps(parent, plain("User", requires=("Pol",)))


def test_an_unknown_label_like_no_other_lists_what_there_is(parent: Parent) -> None:
    with pytest.raises(ConfigError, match="known steps: A, B"):
        made(plain("A"), plain("B", requires=("xyzzy",)), parent=parent)


@pytest.mark.parametrize("path", ["no.such.module:Pool", "no_such_module.Pool", f"{__name__}:Pooll"])
def test_a_string_that_cannot_be_imported_is_an_error_with_a_suggestion(parent: Parent, path: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be imported: .*did you mean 'Pool'\?"):
        with_steps(parent, plain("User", requires=(path,)))


def test_a_string_that_names_no_step_is_an_error(parent: Parent) -> None:
    with pytest.raises(ConfigError, match="NotAStep', which is not a bootstep"):
        with_steps(parent, plain("User", requires=(f"{__name__}:NotAStep",)))


def test_an_instance_in_place_of_a_class_is_an_error(parent: Parent) -> None:
    with pytest.raises(ConfigError, match="an instance; name the class"):
        with_steps(parent, plain("User")(parent))


def test_a_bare_word_cannot_be_added(parent: Parent) -> None:
    with pytest.raises(ConfigError, match="'User', which cannot be imported; write module:attr"):
        with_steps(parent, "User")


def test_two_steps_of_one_name_are_an_error(parent: Parent) -> None:
    with pytest.raises(StepError, match=r"second step of the name 'proj\.Same'"):
        with_steps(parent, plain("A", name="proj.Same"), plain("B", name="proj.Same"))


def test_a_label_that_two_added_steps_share_is_an_error(parent: Parent) -> None:
    twins = [plain("Cache", name="a.Cache"), plain("Cache", name="b.Cache")]

    with pytest.raises(ConfigError, match=r"means more than one step .*: a\.Cache, b\.Cache"):
        with_steps(parent, *twins, plain("User", requires=("Cache",)))


def test_a_blueprint_gives_its_steps_by_name_label_and_alias(parent: Parent) -> None:
    blueprint = made(plain("Long", name="proj.mod.Long", label="short"), parent=parent)

    assert blueprint["short"] is blueprint["proj.mod.Long"] is blueprint.steps["proj.mod.Long"]
    with pytest.raises(KeyError, match="nothing"):
        blueprint["nothing"]


def test_a_step_that_is_not_included_stays_known_and_its_requirer_starts(parent: Parent) -> None:
    blueprint = made(recorder("Off", enabled=False), recorder("On", requires=("Off",)), parent=parent)

    blueprint.start(parent)

    assert order(blueprint) == ["Off", "On"]
    assert parent.journal == ["start On"]


def test_edges_are_kept_for_a_graph(parent: Parent) -> None:
    hub, pool, last = plain("Hub"), plain("Pool", requires=("Hub",)), plain("End", last=True)
    blueprint = made(hub, pool, last, parent=parent)

    assert blueprint.edges() == ((pool, hub), (last, hub), (last, pool))


def test_connected_blueprints_share_a_graph_and_no_life(parent: Parent) -> None:
    worker = made(plain("Hub"), plain("End", last=True), parent=parent)
    consumer = Blueprint(name="Consumer", default_steps=[plain("Connection")]).apply(Parent())

    worker.connect_with(consumer)

    assert (type(consumer["Connection"]), type(worker["End"])) in worker.edges()
    assert order(worker) == ["Hub", "End"]
