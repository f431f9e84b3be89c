"""Attributes that steps put on their parent: there for who requires the step, and said what to do else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fakes import Parent, made, plain
from workerd.bootsteps import Step
from workerd.bootsteps.attributes import FromStep
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.consumer.consumer import Consumer
from workerd.worker.consumer.surface import TaskSurface
from workerd.worker.controller import STEPS
from workerd.worker.steps.attributes import StepAttributes


class Host(Parent):
    pool: FromStep[list[int]] = FromStep("Pool")
    consumer: FromStep[str] = FromStep("Consumer", late=True)


class Pool(Step):
    def __init__(self, parent: Host) -> None:
        parent.pool = [1, 2]


def reads(attribute: str, **settings: Any) -> type[Step]:
    def init(self: Any, parent: Any) -> None:
        self.seen = getattr(parent, attribute)

    return plain("Reader", __init__=init, **settings)


def test_requiring_a_step_guarantees_its_attribute() -> None:
    blueprint = made(reads("pool", requires=("Pool",)), Pool, parent=Host())

    assert blueprint["Reader"].seen == [1, 2]  # type: ignore[attr-defined]


def test_reading_it_too_early_names_the_step_to_require() -> None:
    with pytest.raises(AttributeError) as caught:
        made(reads("pool"), Pool, parent=Host())

    assert str(caught.value) == (
        "Host has no 'pool' yet: its step Pool makes it; write requires = (\"Pool\",) in your step"
    )
    assert caught.value.name == "pool"
    assert caught.value.__notes__ == ["raised while Reader, a step of the Worker blueprint, was made"]


def test_an_attribute_of_the_last_step_cannot_be_required_and_says_when_it_is_there() -> None:
    with pytest.raises(AttributeError, match=r"its step Consumer makes it; read it in start or later$"):
        Host().consumer


def test_an_attribute_that_is_not_there_can_be_asked_for() -> None:
    host = Host()

    assert not hasattr(host, "pool")
    assert getattr(host, "pool", None) is None
    host.pool = [3]
    assert hasattr(host, "pool")
    del host.pool
    assert not hasattr(host, "pool")


def test_the_class_shows_which_step_makes_an_attribute() -> None:
    assert Host.pool.label == "Pool"


DECLARED = {name: value for name, value in vars(StepAttributes).items() if isinstance(value, FromStep)}
OF_CONSUMER = {
    name: value
    for cls in (TaskSurface, Consumer)
    for name, value in vars(cls).items()
    if isinstance(value, FromStep)
}


@pytest.mark.parametrize("name", DECLARED)
def test_every_attribute_of_the_worker_is_of_one_of_its_steps(name: str) -> None:
    labels = {step.label: step.last for step in STEPS}

    assert labels[DECLARED[name].label] is DECLARED[name].late


@pytest.mark.parametrize("name", OF_CONSUMER)
def test_every_attribute_of_the_consumer_is_of_one_of_its_steps(name: str) -> None:
    assert OF_CONSUMER[name].label in {step.label for step in CONSUMER_STEPS}


def test_the_consumer_declares_what_the_guide_has_steps_require() -> None:
    guide = {"connection", "event_dispatcher", "gossip", "heart", "task_consumer"}
    assert guide <= OF_CONSUMER.keys()
