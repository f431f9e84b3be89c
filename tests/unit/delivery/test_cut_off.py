"""Runs that are cut off, by a death or a limit: which of them start again, and what the others leave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import TaskOptions
from workerd_pool import Cause


def test_a_run_cut_off_by_its_childs_death_starts_again_first(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))

    desk.lost()

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t2]", "proj.add[id-t1]"]
    assert desk.pool.jobs[-1].header["redelivered"] is True
    assert desk.source.settled == []


def test_a_task_may_say_that_it_fails_at_the_first_death(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.once")))
    desk.lost()
    assert (desk.pool.jobs, desk.source.settled, desk.source.aside) == ([], ["t1"], [])
    desk.take(delivery("t2", message(task="proj.once.aside")))
    desk.lost()
    assert (desk.pool.jobs, desk.source.settled) == ([], ["t1"])
    assert desk.source.aside == [("t2", "failed: killed by signal 9 (SIGKILL)")]
    assert [state for _, state, _ in desk.results.stored] == ["FAILURE", "FAILURE"]


def test_a_message_that_kills_three_children_is_put_aside_with_the_cause(desk: Desk) -> None:
    desk.take(delivery("t1"))
    for _ in range(3):
        desk.lost()

    assert desk.source.aside == [
        ("t1", "3 processes died while they ran it, the last: killed by signal 9 (SIGKILL)")
    ]
    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.pool.jobs == []


def test_the_hard_limit_fails_the_task_at_once(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.HARD_LIMIT, words="hard time limit (5s)", hard_limit=5.0)

    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.source.settled == ["t1"]


@pytest.mark.parametrize(("on_timeout", "settled", "back"), [(True, ["t1"], []), (False, [], ["t1"])])
def test_the_hard_memory_limit_fails_the_task_as_the_hard_time_limit_does(
    desk: Desk, on_timeout: bool, settled: list[str], back: list[str]
) -> None:
    desk.dispatcher.default.tasks = {"proj.add": TaskOptions(acks_on_timeout=on_timeout)}
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.MEMORY_LIMIT, words="hard memory limit (60 MB): it had 71 MB")

    assert json.loads(desk.results.stored[-1][2])["result"] == {
        "exc_type": "MemoryLimitExceeded",
        "exc_message": ["hard memory limit (60 MB): it had 71 MB"],
        "exc_module": "workerd_pool.errors",
    }
    assert (desk.source.settled, desk.source.given_back) == (settled, back)


def test_the_kernels_want_of_memory_is_nobodys_fault_and_the_task_runs_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.OOM, words="out of memory: killed by the kernel")

    assert desk.results.stored == []
    assert len(desk.pool.jobs) == 1


def test_a_run_that_an_operator_ends_is_revoked_and_does_not_run_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.dispatcher.kill()  # not even given back
    desk.lost(cause=Cause.OPERATOR, words="terminated")

    (task_id, state, meta) = desk.results.stored[-1][:3]
    assert (task_id, state) == ("id-t1", "REVOKED")
    assert json.loads(meta)["result"] == {
        "exc_type": "TaskRevokedError",
        "exc_message": ["terminated"],
        "exc_module": "celery.exceptions",
    }
    assert desk.source.settled == ["t1"]
    assert desk.dispatcher.totals.revoked == 1


@pytest.mark.parametrize(
    ("death", "text"),
    [
        ({}, "Worker exited prematurely: signal 9 (SIGKILL) Job: 1."),
        (
            {"cause": Cause.OOM, "words": "the kernel had no memory left"},
            "Worker exited prematurely: signal 9 (SIGKILL) Job: 1. Cause: the kernel had no memory left.",
        ),
    ],
)
def test_the_result_of_a_lost_run_says_why_in_billiards_words(
    desk: Desk, death: dict[str, Any], text: str
) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    desk.lost(**death)

    assert json.loads(desk.results.stored[-1][2])["result"]["exc_message"] == [text]


def test_an_early_acknowledged_run_never_starts_again(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    desk.lost()

    assert desk.pool.jobs == []
    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.source.settled == ["t1"]


def test_a_returned_job_is_the_next_to_start(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    desk.dispatcher.runs.on_returned(desk.pool.finish(1))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t1]", "proj.add[id-t2]"]
