"""A child's run of one message: outcomes, results, follow-ups, and what it tells on the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from tests.unit.app.mail import body, memory_app, run, sent
from workerd import App, Ignore, Reject, Task
from workerd.app.runner import TABLE, AppRunner, load
from workerd.errors import UnavailableError
from workerd_pool import LoadError


@pytest.fixture
def app() -> Iterator[App]:
    with memory_app() as app:
        yield app


def signature(task: str, *args: Any, **fields: Any) -> dict[str, Any]:
    plain = {"kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    return {"task": task, "args": list(args), **plain, **fields}


def test_a_run_that_returns_is_a_success_with_its_result(app: App) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    ran = run(app, "add", (1,), {"y": 2}, parent_id="p", group="g")
    assert (ran.state, ran.header["repr"], ran.header["store"]) == ("SUCCESS", "3", True)
    assert ran.header["runtime"] >= 0
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


def test_a_retry_is_sent_under_the_same_id_and_told(app: App) -> None:
    @app.task(name="flaky", bind=True, default_retry_delay=90)
    def flaky(self: Task, x: int) -> None:
        raise self.retry(exc=KeyError("again"))

    callbacks = [signature("next")]
    ran = run(
        app, "flaky", (1,), embed={"callbacks": callbacks}, retries=1, group="g", group_index=2, tenant="a"
    )
    assert (ran.state, ran.header["repr"]) == ("RETRY", "Retry in 90s: KeyError('again')")
    assert (ran.meta["status"], ran.meta["result"]["exc_type"]) == ("RETRY", "KeyError")
    assert ran.meta["children"] == [[["id-1", None], None]]
    assert ran.meta["traceback"].endswith("Retry: Retry in 90s: KeyError('again')\n")
    (again,) = sent(app)
    assert body(again) == [[1], {}, {"callbacks": callbacks, "errbacks": None, "chain": None, "chord": None}]
    same = {
        name: again.headers[name]
        for name in ("id", "root_id", "parent_id", "retries", "group", "group_index")
    }
    assert same == {
        "id": "id-1",
        "root_id": "root-1",
        "parent_id": "id-1",
        "retries": 2,
        "group": "g",
        "group_index": 2,
    }
    assert again.headers["tenant"] == "a"
    assert again.headers["eta"] is not None
    assert again.properties["priority"] == 3


def test_a_retry_that_cannot_be_sent_gives_the_message_back(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(name="flaky", bind=True)
    def flaky(self: Task) -> None:
        raise self.retry(countdown=0)

    def down(*args: Any) -> None:
        raise UnavailableError("the broker is away")

    monkeypatch.setattr(app.publisher, "send", down)
    ran = run(app, "flaky")
    assert (ran.state, ran.header["requeue"]) == ("REJECTED", True)
    assert "the broker is away" in ran.header["repr"]


@pytest.mark.parametrize(
    ("call", "exc_type"),
    [
        ({"cowntdown": 0}, "TypeError"),
        ({"args": (1, 2), "countdown": 0}, "TypeError"),
        ({"args": (object(),), "countdown": 0}, "EncodeError"),
        ({"args": "ab", "countdown": 0}, "TypeError"),
        ({"priority": "high", "countdown": 0}, "ValueError"),
    ],
    ids=["unknown option", "arguments that do not fit", "no json", "a text for args", "a wrong option"],
)
def test_a_retry_that_could_never_be_sent_fails_the_task_with_its_line(
    app: App, call: dict[str, Any], exc_type: str
) -> None:
    @app.task(name="flaky", bind=True)
    def flaky(self: Task, x: Any = None) -> None:
        raise self.retry(**call)

    ran = run(app, "flaky")
    assert (ran.state, ran.header["requeue"]) == ("FAILURE", False)
    assert ran.meta["result"]["exc_type"] == exc_type
    assert "raise self.retry(**call)" in ran.meta["traceback"]
    assert sent(app) == []


def test_callbacks_and_the_chain_go_on_before_the_outcome_is_told(app: App) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    fixed = signature("fixed", 9, immutable=True)
    following = signature("last", options={"task_id": "L", "queue": app.conf.task_default_queue})
    chain = [following, signature("middle", 5, options={"task_id": "M", "reply_to": "r"})]
    ran = run(app, "add", (1, 2), embed={"callbacks": [signature("cb", 10), fixed], "chain": chain})
    callback, other, middle = sent(app)
    assert [body(message)[0] for message in (callback, other, middle)] == [[3, 10], [9], [3, 5]]
    assert body(middle)[2]["chain"] == [following]
    assert (middle.headers["id"], middle.properties["reply_to"]) == ("M", "r")
    for message in (callback, other, middle):
        assert (message.headers["parent_id"], message.headers["root_id"]) == ("id-1", "root-1")
    ids = [callback.headers["id"], other.headers["id"], "M"]
    assert ran.meta["children"] == [[[child, None], None] for child in ids]


def test_callbacks_that_cannot_be_sent_give_the_message_back(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any) -> None:
        raise UnavailableError("the broker is away")

    app.task(name="fine")(lambda: 1)
    monkeypatch.setattr(app.publisher, "send", down)
    ran = run(app, "fine", embed={"callbacks": [signature("cb")]})
    assert (ran.state, ran.header["requeue"]) == ("REJECTED", True)


def test_an_errback_gets_the_id_of_the_failed_task(app: App) -> None:
    @app.task(name="boom")
    def boom() -> None:
        raise ValueError("x")

    run(app, "boom", embed={"errbacks": [signature("far", 1)], "callbacks": [signature("cb")]})
    (errback,) = sent(app)
    assert (errback.headers["task"], body(errback)[0]) == ("far", ["id-1", 1])


def test_an_errback_that_takes_the_exception_is_called_here(app: App) -> None:
    seen: list[Any] = []

    @app.task(name="handler")
    def handler(request: Any, exc: Any, traceback: Any) -> None:
        seen.extend((request.id, exc, traceback))

    @app.task(name="boom")
    def boom() -> None:
        raise ValueError("x")

    run(app, "boom", embed={"errbacks": [signature("handler")]})
    assert seen[0] == "id-1"
    assert isinstance(seen[1], ValueError)
    assert "ValueError: x" in seen[2]
    assert sent(app) == []


@pytest.mark.parametrize(
    "embed",
    [
        {"callbacks": [signature("celery.group", subtask_type="group")]},
        {"errbacks": [signature("celery.chord", subtask_type="chord")]},
        {"chain": [signature("celery.chain", subtask_type="chain")]},
        {"chord": signature("body")},
        {"callbacks": ["not a signature"]},
    ],
    ids=["group", "chord", "chain", "member", "nonsense"],
)
def test_a_workflow_that_cannot_be_kept_fails_before_the_task_runs(app: App, embed: dict[str, Any]) -> None:
    ran_at: list[bool] = []
    app.task(name="never")(lambda: ran_at.append(True))
    ran = run(app, "never", embed=embed)
    assert (ran.state, ran.meta["result"]["exc_type"], ran_at) == ("FAILURE", "InvalidTaskError", [])
    assert sent(app) == []


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


def test_what_a_task_sends_is_its_child(app: App) -> None:
    @app.task(name="child")
    def child() -> None: ...

    @app.task(name="parent")
    def parent() -> str:
        return str(child.delay().id)

    ran = run(app, "parent")
    (message,) = sent(app)
    assert (message.headers["parent_id"], message.headers["root_id"]) == ("id-1", "root-1")
    assert ran.meta["children"] == [[[ran.meta["result"], None], None]]


def test_waiting_for_a_result_inside_a_task_is_refused(app: App) -> None:
    @app.task(name="waits")
    def waits() -> None:
        app.AsyncResult("x").get(timeout=0)

    assert "must not wait" in run(app, "waits").meta["result"]["exc_message"][0]


def test_an_exception_that_cannot_be_shown_is_still_a_failure(app: App) -> None:
    class Hostile(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ValueError

        __repr__ = __str__

    @app.task(name="hostile")
    def hostile() -> None:
        raise Hostile(object())

    assert run(app, "hostile").state == "FAILURE"


def test_nothing_of_one_run_is_left_for_the_next(app: App) -> None:
    @app.task(name="look", bind=True)
    def look(self: Task) -> int:
        self.request.mark = getattr(self.request, "mark", 0) + 1  # type: ignore[attr-defined]
        return int(self.request.mark)  # type: ignore[attr-defined]

    assert [run(app, "look").meta["result"] for _ in range(2)] == [1, 1]
    assert app.current_task is None
    with pytest.raises(ValueError, match="no task id"):
        look.update_state(state="X")


def test_the_table_tells_what_the_supervisor_needs(app: App) -> None:
    app.task(name="t", time_limit=30, acks_late=False, rate_limit="10/m")(lambda: None)
    row = AppRunner(app).table()["tasks"]["t"]
    assert set(row) == {*TABLE, "app_time_limit", "app_soft_time_limit"}
    assert (row["time_limit"], row["acks_late"], row["rate_limit"]) == (30, False, "10/m")
    assert (row["acks_on_failure"], row["ignore_result"], row["max_retries"]) == (True, False, 3)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row)) == row


def test_the_settings_limits_stand_beside_a_tasks_own(app: App) -> None:
    app.conf.update(task_time_limit=9, task_soft_time_limit=8)
    app.task(name="own", time_limit=30)(lambda: 1)
    row = AppRunner(app).table()["tasks"]["own"]
    assert (row["time_limit"], row["soft_time_limit"]) == (30, None)
    assert (row["app_time_limit"], row["app_soft_time_limit"]) == (9, 8)


def test_load_imports_the_app_and_takes_the_daemons_word_for_servers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loaded_proj.py").write_text("from workerd import App\napp = App('p', broker='redis://x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    level = logging.getLogger().level
    arg = {"app": "loaded_proj:app", "broker": ["memory://"], "backend": "", "hostname": "main@here"}
    try:
        runner = load(msgspec.msgpack.encode(arg))
    finally:
        logging.getLogger().setLevel(level)
    assert runner.app.broker.urls("broker_write_url") == ("memory://",)
    assert not runner.app.backend.enabled
    assert runner.app.hostname == "main@here"


def test_load_tells_a_missing_app_from_a_broken_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_proj.py").write_text("import os\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError, match="no module 'absent_proj'") as missing:
        load(msgspec.msgpack.encode({"app": "absent_proj"}))
    assert missing.value.traceback == ""
    with pytest.raises(LoadError) as caught:
        load(msgspec.msgpack.encode({"app": "broken_proj"}))
    assert "ZeroDivisionError" in caught.value.reason
    assert caught.value.traceback.splitlines()[1].endswith('broken_proj.py", line 2, in <module>')
