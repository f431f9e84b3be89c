"""The step classes: names, options, inclusion, delegation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fakes import Parent, made, plain, recorder
from workerd import bootstep, bootsteps
from workerd.bootsteps import Blueprint, StartStopStep, Step, StepSet
from workerd.bootsteps.steps import import_attr


class Managed:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


class Killable(Managed):
    def terminate(self) -> None:
        self.calls.append("terminate")


def managing(obj: Any) -> type[StartStopStep]:
    class Manager(StartStopStep):
        def create(self, parent: Any) -> Any:
            return obj

    return Manager


def test_a_step_is_named_after_its_module_and_class() -> None:
    class StepB(Step):
        pass

    assert StepB.name == f"{__name__}.StepB"


def test_a_subclass_never_inherits_the_name() -> None:
    class Named(Step):
        name = "given"

    class Other(Named):
        pass

    assert Named.name == "given"
    assert Other.name == f"{__name__}.Other"


def test_a_label_is_inherited() -> None:
    class Child(recorder("Pool")):  # type: ignore[misc]
        pass

    assert Child.label == "Pool"


def test_reprs_of_classes_and_instances_read_as_in_the_guide(parent: Parent) -> None:
    step_b = plain("StepB", name="proj.StepB", label=None)
    step_c = plain("StepC", name="proj.StepC", requires=("Pool",))

    assert repr(step_b) == "step:proj.StepB{()}"
    assert str(step_b) == "proj.StepB"
    assert repr(step_c) == "step:proj.StepC{('Pool',)}"
    assert repr(step_b(parent)) == "<step: StepB>"


def test_a_step_set_reads_sorted_by_name() -> None:
    steps = StepSet([plain("B", name="proj.B")])
    steps.update([plain("A", name="proj.A"), "proj.other:C"])

    assert repr(steps) == "{step:proj.A{()}, step:proj.B{()}, proj.other:C}"


def test_the_alias_is_the_label_or_the_last_part_of_the_name(parent: Parent) -> None:
    assert plain("x", name="a.b.Last", label=None)(parent).alias == "Last"
    assert plain("x", name="a.b.Last", label="event loop")(parent).alias == "event loop"


def test_both_module_names_give_the_same_classes() -> None:
    assert bootstep.ConsumerStep is bootsteps.ConsumerStep
    assert bootstep.Step is Step


def test_options_reach_init_by_the_names_that_it_accepts(parent: Parent) -> None:
    class Detection(StartStopStep):
        def __init__(self, worker: Any, deadlock_timeout: float = 3600, *, loud: bool = False) -> None:
            self.seen = (deadlock_timeout, loud)

    blueprint = Blueprint(name="Worker", default_steps=[Detection])
    blueprint.apply(parent, deadlock_timeout=5, loud=True, unknown="left out")

    assert blueprint["Detection"].seen == (5, True)  # type: ignore[attr-defined]


def test_options_that_are_unset_leave_the_default_alone(parent: Parent) -> None:
    class Detection(StartStopStep):
        def __init__(self, worker: Any, deadlock_timeout: float = 3600, **options: Any) -> None:
            self.seen = (deadlock_timeout, options)

    blueprint = Blueprint(name="Worker", default_steps=[Detection])
    blueprint.apply(parent, deadlock_timeout=None, other=None, zero=0)

    assert blueprint["Detection"].seen == (3600, {"zero": 0})  # type: ignore[attr-defined]


def test_an_option_with_the_name_of_the_parent_argument_does_not_clash(parent: Parent) -> None:
    class Greedy(Step):
        def __init__(self, worker: Any, **options: Any) -> None:
            self.seen = (worker, options)

    blueprint = Blueprint(name="Worker", default_steps=[Greedy]).apply(parent, worker="no", x=1)

    assert blueprint["Greedy"].seen == (parent, {"x": 1})  # type: ignore[attr-defined]


@pytest.mark.parametrize("attribute", ["worker", "c"])
def test_app_and_parent_are_set_before_init_runs(parent: Parent, attribute: str) -> None:
    class Early(Step):
        def __init__(self, anything: Any) -> None:
            self.seen = (self.app, getattr(self, attribute))

    blueprint = Blueprint(name="B", default_steps=[Early], parent_attribute=attribute).apply(parent)

    assert blueprint["Early"].seen == ("the app", parent)  # type: ignore[attr-defined]


def test_create_is_called_only_for_included_steps(parent: Parent) -> None:
    class Absent(StartStopStep):
        enabled = False

        def create(self, parent: Any) -> Any:
            raise AssertionError("not included")

    made(Absent, parent=parent)

    assert parent.steps == []


def test_every_init_runs_before_any_inclusion_is_asked(parent: Parent) -> None:
    class Asks(StartStopStep):
        def include_if(self, parent: Any) -> bool:
            return bool(parent.wanted)

    class Sets(Step):
        def __init__(self, parent: Any) -> None:
            parent.wanted = True

    made(Asks, Sets, parent=parent)

    assert [step.alias for step in parent.steps] == ["Asks"]


def test_start_and_stop_go_to_the_created_object(parent: Parent) -> None:
    obj = Managed()
    blueprint = made(managing(obj), parent=parent)

    blueprint.start(parent)
    blueprint.stop(parent)

    assert obj.calls == ["start", "stop"]


@pytest.mark.parametrize(
    ("obj", "calls"), [(Managed(), ["start", "stop"]), (Killable(), ["start", "terminate"])]
)
def test_terminate_falls_back_to_stop(parent: Parent, obj: Managed, calls: list[str]) -> None:
    blueprint = made(managing(obj), parent=parent)

    blueprint.start(parent)
    blueprint.terminate(parent)

    assert obj.calls == calls


def test_a_step_without_an_object_starts_and_stops_quietly(parent: Parent) -> None:
    blueprint = made(managing(None), parent=parent)

    blueprint.start(parent)
    blueprint.terminate(parent)

    assert blueprint.human_state() == "terminating"


def test_a_step_that_creates_itself_is_not_called_without_its_parent(parent: Parent) -> None:
    class Example(StartStopStep):
        def create(self, worker: Any) -> Any:
            return self

        def stop(self, worker: Any) -> None:
            worker.journal.append("stop")

    blueprint = made(Example, parent=parent)
    blueprint.start(parent)
    blueprint.terminate(parent)

    assert parent.journal == ["stop"]


def test_a_step_that_only_overrides_stop_is_stopped_by_a_terminate(parent: Parent) -> None:
    class Ticker(StartStopStep):
        def stop(self, worker: Any) -> None:
            worker.journal.append("stop")

    blueprint = made(Ticker, parent=parent)
    blueprint.start(parent)
    blueprint.terminate(parent)

    assert parent.journal == ["stop"]


class InfoStep(Step):
    """The guide's: a plain step with life-cycle hooks."""

    def start(self, parent: Any) -> None:
        parent.journal.append("is starting")

    def stop(self, parent: Any) -> None:
        parent.journal.append("is stopping")

    def shutdown(self, parent: Any) -> None:
        parent.journal.append("is shutting down")


def test_a_plain_step_with_hooks_takes_part_in_the_life_cycle(parent: Parent) -> None:
    blueprint = made(InfoStep, parent=parent)

    blueprint.start(parent)
    blueprint.stop(parent)
    blueprint.shutdown(parent)

    assert parent.journal == ["is starting", "is stopping", "is shutting down"]


def test_a_plain_step_without_terminate_is_stopped_when_the_worker_terminates(parent: Parent) -> None:
    blueprint = made(InfoStep, parent=parent)

    blueprint.start(parent)
    blueprint.terminate(parent)

    assert parent.journal == ["is starting", "is stopping"]


def test_a_plain_step_without_hooks_only_gets_made(parent: Parent) -> None:
    blueprint = made(plain("Quiet"), parent=parent)

    assert parent.steps == []
    assert "Quiet" in [step.alias for step in blueprint.order]


def test_a_plain_step_with_only_info_is_asked_for_it(parent: Parent) -> None:
    blueprint = made(plain("Told", info=lambda self, parent: {"told": 1}), parent=parent)
    blueprint.start(parent)

    assert blueprint.info(parent) == {"told": 1}


@pytest.mark.parametrize("path", ["collections:OrderedDict", "collections.OrderedDict"])
def test_instantiate_calls_what_a_string_names(parent: Parent, path: str) -> None:
    assert plain("S")(parent).instantiate(path, a=1) == {"a": 1}
    assert plain("S")(parent).instantiate(dict, a=1) == {"a": 1}


def test_import_attr_names_what_is_missing() -> None:
    with pytest.raises(ImportError, match="'collections' has no 'Nothing'"):
        import_attr("collections:Nothing")
