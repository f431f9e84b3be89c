"""A child's run of one message: its outcome, and the result that is stored of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from tests.unit.app.mail import run, sent, signature
from workerd import App, Ignore, Reject
from workerd.delivery import Outcome


def test_a_run_that_returns_is_a_success_with_its_result(app: App) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    ran = run(app, "add", (1,), {"y": 2}, parent_id="p", group="g")
    assert (ran.state, ran.header["repr"], ran.header["store"]) == ("SUCCESS", "3", True)
    assert ran.header["runtime"] >= 0
    assert Outcome.of(ran.header) == Outcome(
        state="SUCCESS", runtime=ran.header["runtime"], repr="3", store=True
    )
    assert datetime.fromisoformat(ran.meta.pop("date_done")).tzinfo is not None
    assert ran.meta == {
        "status": "SUCCESS",
        "result": 3,
        "traceback": None,
        "children": [],
        "group_id": "g",
        "parent_id": "p",
        "task_id": "id-1",
    }


def test_a_run_that_raises_is_a_failure_with_the_tasks_own_traceback(app: App) -> None:
    @app.task(name="boom", throws=KeyError)
    def boom(kind: str) -> None:
        raise {"value": ValueError, "key": KeyError}[kind]("kaput", 7)

    ran = run(app, "boom", ("value",))
    assert (ran.state, ran.header["expected"]) == ("FAILURE", False)
    assert ran.meta["result"] == {
        "exc_type": "ValueError",
        "exc_message": ["kaput", 7],
        "exc_module": "builtins",
    }
    assert ran.meta["traceback"] == ran.header["traceback"]
    lines = ran.meta["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "test_runner.py" in lines[1]
    assert lines[-1] == "ValueError: ('kaput', 7)"
    assert run(app, "boom", ("key",)).header["expected"] is True


def test_a_result_that_is_returned_is_stored_as_its_tuple(app: App) -> None:
    @app.task(name="hand_on")
    def hand_on() -> Any:
        return app.AsyncResult("other")

    assert run(app, "hand_on").meta["result"] == [["other", None], None]


def test_text_that_is_no_utf_8_can_be_returned_and_raised(app: App) -> None:
    @app.task(name="odd")
    def odd(raising: bool) -> str:
        if raising:
            raise ValueError("caf\udce9")
        return "caf\udce9"

    ran = run(app, "odd", (False,))
    assert (ran.state, ran.header["repr"], ran.meta["result"]) == ("SUCCESS", "'caf\\udce9'", "caf\udce9")
    raised = run(app, "odd", (True,))
    assert raised.meta["result"]["exc_message"] == ["caf\udce9"]
    for told in (ran, raised):
        msgspec.msgpack.encode(told.header)


def test_the_soft_time_limit_is_told_as_a_timeout(app: App) -> None:
    @app.task(name="slow")
    def slow() -> None:
        raise SoftTimeLimitExceeded(2)

    ran = run(app, "slow")
    assert (ran.state, ran.header["timeout"]) == ("FAILURE", True)
    assert ran.meta["result"]["exc_module"] == "billiard.exceptions"


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_an_exception_for_the_process_fails_that_task_only(app: App, exc: BaseException) -> None:
    @app.task(name="leave")
    def leave() -> None:
        raise exc

    ran = run(app, "leave")
    assert ran.state == "FAILURE"
    assert ran.meta["result"]["exc_type"] == "TaskExitError"
    assert repr(exc) in ran.meta["result"]["exc_message"][0]


def test_a_result_that_cannot_be_written_is_a_failure(app: App) -> None:
    @app.task(name="odd")
    def odd() -> object:
        return object()

    ran = run(app, "odd", embed={"callbacks": [signature("next")], "errbacks": [signature("err")]})
    assert ran.state == "FAILURE"
    assert ran.meta["result"]["exc_type"] == "EncodeError"
    assert [message.headers["task"] for message in sent(app)] == ["err"]


def test_an_unknown_task_fails_as_not_registered(app: App) -> None:
    ran = run(app, "missing")
    assert ran.meta["result"] == {
        "exc_type": "NotRegistered",
        "exc_message": ["missing"],
        "exc_module": "celery.exceptions",
    }
    assert ran.meta["traceback"] is None


def test_a_body_that_cannot_be_read_fails_its_message_only(app: App) -> None:
    app.task(name="add")(lambda: None)
    for data in (b"[", b"{}", b"[1,2,3]", b'[[],{"a":1},{}]'):
        assert run(app, "add", data=data).state == "FAILURE"


def test_ignore_and_reject_are_outcomes_of_their_own(app: App) -> None:
    @app.task(name="refuse")
    def refuse(kind: str) -> None:
        raise {"ignore": Ignore(), "no": Reject("no", requeue=False), "again": Reject("later", requeue=True)}[
            kind
        ]

    ignored, no, again = (
        run(app, "refuse", ("ignore",)),
        run(app, "refuse", ("no",)),
        run(app, "refuse", ("again",)),
    )
    assert (ignored.state, ignored.header["store"]) == ("IGNORED", False)
    assert (no.state, no.header["requeue"], no.header["store"]) == ("REJECTED", False, True)
    assert (no.meta["status"], no.meta["result"]["exc_type"]) == ("FAILURE", "Reject")
    assert no.meta["result"]["exc_message"] == ["no", False]
    assert (again.state, again.header["requeue"], again.header["store"]) == ("REJECTED", True, False)


@pytest.mark.parametrize(
    ("header", "option", "state", "stored"),
    [
        (None, False, "SUCCESS", True),
        (None, True, "SUCCESS", False),
        (True, False, "SUCCESS", False),
        (False, True, "SUCCESS", True),
        (True, False, "FAILURE", False),
    ],
)
def test_the_message_decides_on_its_result_before_the_task_does(
    app: App, header: bool | None, option: bool, state: str, stored: bool
) -> None:
    @app.task(name="maybe", ignore_result=option)
    def maybe() -> None:
        if state == "FAILURE":
            raise ValueError

    assert run(app, "maybe", ignore_result=header).header["store"] is stored


def test_errors_can_be_stored_although_results_are_ignored(app: App) -> None:
    @app.task(name="loud", ignore_result=True, store_errors_even_if_ignored=True)
    def loud() -> None:
        raise ValueError

    assert run(app, "loud").header["store"] is True


def test_an_exception_that_cannot_be_shown_is_still_a_failure(app: App) -> None:
    class Hostile(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ValueError

        __repr__ = __str__

    @app.task(name="hostile")
    def hostile() -> None:
        raise Hostile(object())

    assert run(app, "hostile").state == "FAILURE"
