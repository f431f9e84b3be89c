"""What a task sees and may do while it runs: its request, its states, its hooks."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.unit.app.mail import run
from workerd import App, Task


def test_the_request_tells_of_the_message(app: App) -> None:
    seen: dict[str, Any] = {}

    @app.task(name="look", bind=True)
    def look(self: Task, x: int) -> None:
        seen.update(vars(self.request))

    run(app, "look", (1,), timelimit=[30, 20], retries=2, tenant="acme", eta="2026-01-01T00:00:00+00:00")
    assert (seen["id"], seen["root_id"], seen["correlation_id"]) == ("id-1", "root-1", "id-1")
    assert (seen["args"], seen["kwargs"], seen["retries"]) == ([1], {}, 2)
    assert (seen["hostname"], seen["deaths"]) == ("main@here", 1)
    assert (seen["timelimit"], seen["headers"]) == ((30, 20), {"tenant": "acme"})
    assert seen["eta"] == "2026-01-01T00:00:00+00:00"
    assert (seen["is_eager"], seen["called_directly"]) == (False, False)
    info = {"exchange": "", "routing_key": app.conf.task_default_queue, "priority": 3, "redelivered": False}
    assert seen["delivery_info"] == info


def test_started_and_own_states_go_up_to_the_supervisor(app: App) -> None:
    @app.task(name="steps", bind=True, track_started=True)
    def steps(self: Task) -> None:
        self.update_state(state="PROGRESS", meta={"done": 3})

    ran = run(app, "steps")
    (first, started), (second, progress) = ran.progress
    assert (first, started["result"]) == ("STARTED", {"pid": os.getpid(), "hostname": "main@here"})
    assert (second, progress["result"], progress["date_done"]) == ("PROGRESS", {"done": 3}, None)
    assert run(app, "steps", ignore_result=True).progress[0][0] == "PROGRESS"


def test_hooks_run_in_order_and_their_errors_change_no_outcome(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    class Hooked(Task):
        def before_start(self, *args: Any) -> None:
            called.append("before_start")

        def on_success(self, *args: Any) -> None:
            called.append("on_success")
            raise RuntimeError("in a hook")

        def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            called.append(f"on_failure {task_id} {einfo.exception!r}")

        def on_retry(self, *args: Any) -> None:
            called.append("on_retry")

        def after_return(self, status: str, *args: Any) -> None:
            called.append(f"after_return {status}")

    @app.task(name="work", base=Hooked, bind=True)
    def work(self: Task, how: str) -> None:
        called.append("run")
        if how == "retry":
            raise self.retry(countdown=0)
        if how == "fail":
            raise ValueError("x")

    assert run(app, "work", ("return",)).state == "SUCCESS"
    assert called == ["before_start", "run", "on_success", "after_return SUCCESS"]
    assert "in a hook" in caplog.text
    called.clear()
    run(app, "work", ("fail",))
    assert called[2:] == ["on_failure id-1 ValueError('x')", "after_return FAILURE"]
    called.clear()
    run(app, "work", ("retry",))
    assert called[2:] == ["on_retry"]


def test_waiting_for_a_result_inside_a_task_is_refused(app: App) -> None:
    @app.task(name="waits")
    def waits() -> None:
        app.AsyncResult("x").get(timeout=0)

    assert "must not wait" in run(app, "waits").meta["result"]["exc_message"][0]


def test_nothing_of_one_run_is_left_for_the_next(app: App) -> None:
    @app.task(name="look", bind=True)
    def look(self: Task) -> int:
        self.request.mark = getattr(self.request, "mark", 0) + 1  # type: ignore[attr-defined]
        return int(self.request.mark)  # type: ignore[attr-defined]

    assert [run(app, "look").meta["result"] for _ in range(2)] == [1, 1]
    assert app.current_task is None
    with pytest.raises(ValueError, match="no task id"):
        look.update_state(state="X")
