"""What a run sends on: its retry, callbacks, errbacks, the rest of its chain, and its children."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.app.mail import body, run, sent, signature
from workerd import App, Task
from workerd.errors import UnavailableError


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
    ids, group = [callback.headers["id"], other.headers["id"]], callback.headers["group"]
    members = [[[child, None], None] for child in ids]
    assert ran.meta["children"] == [[[group, None], members], [["M", None], None]]


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
        {"chord": {"args": [1]}},
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
