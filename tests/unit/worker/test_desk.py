"""What operators ask of runs, as the desk answers it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery
from workerd import App
from workerd.delivery import Stage
from workerd.errors import UsageError
from workerd.worker.consumer.task_rates import TaskRates
from workerd.worker.desk import OperatorDesk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def operators(desk: Desk) -> OperatorDesk:
    active = desk.dispatcher.table.in_stage(Stage.RUNNING)
    consumer = SimpleNamespace(task_rates=TaskRates(App(), desk.dispatcher))
    worker: Any = SimpleNamespace(dispatcher=desk.dispatcher, active_requests=active, consumer=consumer)
    return OperatorDesk(worker)


def test_the_limits_of_a_task_that_new_code_has_not_any_more_can_be_taken_back(desk: Desk) -> None:
    operators(desk).limit("proj.add", 5.0, None, None, False)
    desk.lane.tasks = {}
    assert operators(desk).limit("proj.add", None, None, None, False)["set"] == {"soft": 5.0}
    found = operators(desk).limit("proj.add", None, None, None, True)
    assert (found["set"], found["pools"]) == ({}, {"default": {"soft": None, "hard": None}})
    assert desk.dispatcher.limits.by_task == {}
    with pytest.raises(UsageError, match=r"there is no task 'proj\.add'"):
        operators(desk).limit("proj.add", None, None, None, False)


def test_a_task_that_still_runs_in_old_code_can_be_limited(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.lane.tasks = {}
    assert operators(desk).limit("proj.add", None, 9.0, None, False)["running"] == 1
    assert desk.pool.limited == [(1, None, 9.0)]
