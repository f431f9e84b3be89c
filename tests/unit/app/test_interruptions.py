"""What becomes of a run that is interrupted, wherever it was."""

from __future__ import annotations

from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from tests.unit.app.mail import Ran, Up, memory_app, run, sent
from workerd import App
from workerd_pool import JobTerminated, MemoryLimitExceeded, SoftStop


@pytest.fixture
def app() -> App:
    return memory_app()


def raising(app: App, exc: BaseException, **options: Any) -> Ran:
    """Run a task that ``exc`` interrupts."""

    @app.task(name="work", **options)
    def work() -> None:
        raise exc

    return run(app, "work")


def test_a_terminated_run_is_revoked_as_celery_says_it(app: App) -> None:
    ran = raising(app, JobTerminated("by an operator"))
    assert (ran.state, ran.header["store"]) == ("REVOKED", True)
    assert ran.meta["status"] == "REVOKED"
    assert ran.meta["result"] == {
        "exc_type": "TaskRevokedError",
        "exc_message": ["terminated"],
        "exc_module": "celery.exceptions",
    }
    assert ran.meta["traceback"] is None


def test_a_terminated_run_is_not_tried_again(app: App) -> None:
    ran = raising(app, JobTerminated(), autoretry_for=(BaseException,))
    assert ran.state == "REVOKED"
    assert sent(app) == []


def test_the_memory_limit_fails_the_run_by_its_name(app: App) -> None:
    ran = raising(app, MemoryLimitExceeded("soft memory limit (60 MB)"))
    assert (ran.state, ran.header["timeout"]) == ("FAILURE", True)
    assert ran.meta["result"] == {
        "exc_type": "MemoryLimitExceeded",
        "exc_message": ["soft memory limit (60 MB)"],
        "exc_module": "workerd_pool.errors",
    }


def test_the_soft_limit_fails_the_run_by_its_name(app: App) -> None:
    ran = raising(app, SoftTimeLimitExceeded())
    assert (ran.state, ran.header["timeout"]) == ("FAILURE", True)
    assert ran.meta["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert ran.meta["result"]["exc_module"] == "billiard.exceptions"


def test_a_run_that_a_stop_cuts_off_goes_back_without_a_result_or_an_errback(app: App) -> None:
    @app.task(name="work", autoretry_for=(Exception,))
    def work() -> None:
        raise SoftStop("the daemon is stopping")

    errback = {"task": "sorry", "args": [], "kwargs": {}, "options": {}}
    ran = run(app, "work", embed={"errbacks": [errback]})
    assert (ran.state, ran.header["requeue"], ran.header["stopped"]) == ("REJECTED", True, True)
    assert (ran.header["store"], ran.meta) == (False, {})
    assert sent(app) == []


def test_a_run_that_was_acknowledged_before_it_ran_fails_by_a_stop(app: App) -> None:
    ran = raising(app, SoftStop("the daemon is stopping"), acks_late=False)
    assert (ran.state, ran.header["stopped"]) == ("FAILURE", False)
    assert ran.meta["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert ran.meta["result"]["exc_message"] == ["the daemon is stopping"]


def test_a_task_that_cleans_up_at_a_stop_may_end_as_it_likes(app: App) -> None:
    @app.task(name="work")
    def work() -> str:
        try:
            raise SoftStop
        except SoftTimeLimitExceeded:
            return "as far as I came"

    assert run(app, "work").meta["result"] == "as far as I came"


@pytest.mark.parametrize("exc", [SoftTimeLimitExceeded(), SoftStop(), JobTerminated()])
def test_what_comes_after_the_last_line_of_a_task_comes_too_late(app: App, exc: BaseException) -> None:
    app.task(name="work")(lambda: 7)
    ran = run(app, "work", up=Up(at_the_end=exc))
    assert (ran.state, ran.meta["result"]) == ("SUCCESS", 7)


@pytest.mark.parametrize(
    ("exc", "state"),
    [(SoftTimeLimitExceeded(), "FAILURE"), (SoftStop(), "REJECTED"), (JobTerminated(), "REVOKED")],
)
def test_a_run_that_is_interrupted_before_its_first_line_ends_in_the_same_way(
    app: App, exc: BaseException, state: str
) -> None:
    class Early(Up):
        def progress(self, header: dict[str, Any], data: bytes) -> None:
            raise exc

    app.task(name="work", track_started=True)(lambda: 7)
    up = Early()
    ran = run(app, "work", up=up)
    assert ran.state == state
    assert not ran.header.get("refused")
    assert up.shields == 1
