"""Whose word on a rate limit counts: what is said while the daemon runs, else the code that serves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from workerd import App
from workerd.delivery import TaskOptions
from workerd.errors import UsageError
from workerd.worker.consumer.task_rates import TaskRates


class Bed:
    """An app whose task ``mail`` is limited, and the rates of its daemon."""

    def __init__(self, **settings: Any) -> None:
        self.app, self.desk = App("proj", **settings), Desk()
        self.app.task(name="mail", rate_limit="10/m")(lambda: None)
        self.app.task(name="add")(lambda: None)
        self.rates = TaskRates(self.app, self.desk.dispatcher)
        self.code(mail="10/m", add=None)

    def code(self, **rates: Any) -> None:
        """New code serves."""
        self.desk.lane.tasks = {name: TaskOptions(rate_limit=rate) for name, rate in rates.items()}
        self.rates.reset()

    @property
    def limited(self) -> dict[str, float]:
        found = self.desk.dispatcher.rates.limited
        return {task: round(bucket.fill_rate * 60, 3) for task, bucket in found.items()}  # type: ignore[union-attr]


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_the_code_says_how_often_its_tasks_begin(bed: Bed) -> None:
    assert bed.limited == {"mail": 10}


def test_new_code_brings_its_own_limits(bed: Bed) -> None:
    bed.code(add="5/m", new=1)
    assert bed.limited == {"add": 5, "new": 60}
    assert (bed.app.tasks["mail"].rate_limit, bed.app.tasks["add"].rate_limit) == (None, "5/m")
    bed.code(mail="20/m")
    assert bed.limited == {"mail": 20}


def test_what_a_step_has_set_holds_from_the_reset_on_and_over_reloads(bed: Bed) -> None:
    bed.app.tasks["mail"].rate_limit = 0.5
    assert bed.limited == {"mail": 10}
    bed.rates.reset()
    bed.code(mail="20/m", add="1/m")
    assert bed.limited == {"mail": 30, "add": 1}
    bed.app.tasks["mail"].rate_limit = None
    bed.rates.reset()
    assert bed.limited == {"add": 1}


def test_what_an_operator_has_said_holds_over_reloads_and_steps_see_it(bed: Bed) -> None:
    bed.rates.say("mail", "3/m"), bed.rates.say("gone", "1/m")
    bed.code(mail="20/m")
    assert bed.limited == {"mail": 3, "gone": 1}
    assert bed.app.tasks["mail"].rate_limit == "3/m"
    bed.rates.take_back("mail"), bed.rates.take_back("gone")
    assert bed.limited == {"mail": 20}


def test_the_last_word_counts(bed: Bed) -> None:
    bed.rates.say("mail", "3/m")
    bed.app.tasks["mail"].rate_limit = "4/m"
    bed.rates.reset()
    assert bed.limited == {"mail": 4}
    bed.rates.say("mail", 0)
    assert bed.limited == {}


def test_what_is_no_rate_is_refused_and_changes_nothing(bed: Bed) -> None:
    with pytest.raises(UsageError, match="'often' is no rate limit"):
        bed.rates.say("mail", "often")
    assert bed.limited == {"mail": 10}


def test_a_step_that_sets_what_is_no_rate_is_told_in_the_log(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.app.tasks["mail"].rate_limit = "often"
    bed.rates.reset()
    assert bed.limited == {}
    assert "Task mail has no rate limit, as 'often' cannot be read: write a number" in caplog.text


def test_the_app_may_give_all_its_tasks_a_limit_and_may_switch_all_off() -> None:
    assert App(task_default_rate_limit="7/s").task(name="t")(lambda: None).rate_limit == "7/s"
    bed = Bed(worker_disable_rate_limits=True)
    assert bed.limited == {}
    with pytest.raises(UsageError, match="no rate limits"):
        bed.rates.say("mail", 1)
