"""The signals of sending and of running, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Queue

from tests.unit.app.mail import memory_app, run, sent
from workerd import App, Ignore, Reject, Task, signals
from workerd.signals import Signal

RUNNING = ("task_prerun", "task_success", "task_retry", "task_failure", "task_postrun")
SENDING = ("before_task_publish", "after_task_publish", "task_sent")

Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """(signal, what it says with its sender), in the order of their coming."""
    got: Heard = []
    receivers: list[tuple[Signal, Any]] = []
    for name in (*RUNNING, *SENDING):

        def receive(name: str = name, **words: Any) -> None:
            assert words.pop("signal").name == name
            got.append((name, words))

        signal = getattr(signals, name)
        receivers.append((signal, signal.connect(receive, weak=False)))
    yield got
    for signal, receiver in receivers:
        assert signal.disconnect(receiver)


@pytest.fixture
def app() -> App:
    return App("proj", task_always_eager=True)


def words_of(heard: Heard, name: str) -> dict[str, Any]:
    found = [words for one, words in heard if one == name]
    assert len(found) == 1, heard
    return found[0]


def test_a_run_that_succeeds(app: App, heard: Heard) -> None:
    hooks: list[str] = []

    class Hooked(Task):
        def on_success(self, *args: Any) -> None:
            hooks.append("on_success")
            assert [name for name, _ in heard] == ["task_prerun"]

    task = app.task(name="t", base=Hooked)(lambda x, y=0: x + y)
    task.apply((1,), {"y": 2}, task_id="i")

    assert hooks == ["on_success"]
    assert [name for name, _ in heard] == ["task_prerun", "task_success", "task_postrun"]
    call = {"sender": task, "task_id": "i", "task": task, "args": (1,), "kwargs": {"y": 2}}
    assert words_of(heard, "task_prerun") == call
    assert words_of(heard, "task_postrun") == call | {"retval": 3, "state": "SUCCESS"}
    success = words_of(heard, "task_success")
    assert (success["sender"], success["result"]) == (task, 3) and success["runtime"] >= 0


def test_a_run_that_fails(app: App, heard: Heard) -> None:
    error = KeyError("no")

    @app.task(name="t")
    def task(x: int) -> None:
        raise error

    task.apply((1,), task_id="i")

    assert [name for name, _ in heard] == ["task_prerun", "task_failure", "task_postrun"]
    failure = words_of(heard, "task_failure")
    assert (failure["sender"], failure["task_id"], failure["exception"]) == (task, "i", error)
    assert (failure["args"], failure["kwargs"], failure["traceback"]) == ((1,), {}, error.__traceback__)
    assert failure["einfo"].exception is error and "raise error" in failure["einfo"].traceback
    end = words_of(heard, "task_postrun")
    assert (end["retval"], end["state"]) == (error, "FAILURE")


def test_a_run_that_is_tried_again(app: App, heard: Heard) -> None:
    @app.task(name="t", bind=True, max_retries=1)
    def task(self: Task) -> str:
        if not self.request.retries:
            raise self.retry(countdown=0, exc=OSError("busy"))
        return "done"

    task.apply(task_id="i")

    names = [name for name, _ in heard]
    # An eager retry runs before the first run has ended.
    assert names == [
        "task_prerun",
        "task_prerun",
        "task_success",
        "task_postrun",
        "task_retry",
        "task_postrun",
    ]
    retry = words_of(heard, "task_retry")
    assert (retry["sender"], retry["request"].id) == (task, "i")
    assert repr(retry["reason"].exc) == "OSError('busy')" and retry["einfo"].exception is retry["reason"]


@pytest.mark.parametrize(("raised", "state"), [(Ignore(), "IGNORED"), (Reject("no"), "REJECTED")])
def test_a_run_without_an_outcome_only_begins_and_ends(
    raised: Exception, state: str, app: App, heard: Heard
) -> None:
    @app.task(name="t")
    def task() -> None:
        raise raised

    task.apply()

    assert [name for name, _ in heard] == ["task_prerun", "task_postrun"]
    assert words_of(heard, "task_postrun")["state"] == state


def test_a_receiver_that_raises_changes_no_outcome_and_hides_no_other(
    app: App, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    task = app.task(name="t")(lambda: 5)

    def broken(**words: Any) -> None:
        raise ValueError("broken receiver")

    def leaving(**words: Any) -> None:
        raise SystemExit(3)

    signals.task_prerun.connect(broken)
    signals.task_success.connect(leaving)
    signals.task_postrun.connect(leaving)
    try:
        result = task.apply()
    finally:
        signals.task_prerun.disconnect(broken)
        signals.task_success.disconnect(leaving)
        signals.task_postrun.disconnect(leaving)

    assert (result.state, result.result) == ("SUCCESS", 5)
    assert [name for name, _ in heard] == ["task_prerun", "task_success", "task_postrun"]
    assert "of task_prerun raised ValueError('broken receiver')" in caplog.text
    assert caplog.text.count("A receiver of task t raised; the outcome stands") == 2


def test_what_is_sent_is_told_before_and_after(heard: Heard) -> None:
    with memory_app() as app:
        result = app.send_task("there.add", (1, 2), {"z": 3}, headers={"tag": "blue"})

    assert [name for name, _ in heard] == list(SENDING)
    before, after = words_of(heard, SENDING[0]), words_of(heard, SENDING[1])
    assert before["body"][:2] == ((1, 2), {"z": 3}) and before["body"][2]["chain"] is None
    assert before["headers"]["id"] == result.id and before["headers"]["tag"] == "blue"
    assert (before["sender"], before["exchange"]) == ("there.add", "")
    assert before["routing_key"] == app.conf.task_default_queue
    assert [type(queue) for queue in before["declare"]] == [Queue]
    assert before["properties"]["correlation_id"] == result.id
    assert before["retry_policy"]["max_retries"] == 3
    assert after == {key: before[key] for key in ("sender", "body", "exchange", "routing_key", "headers")}
    assert words_of(heard, SENDING[2]) == {
        "sender": "there.add",
        "task_id": result.id,
        "task": "there.add",
        "args": (1, 2),
        "kwargs": {"z": 3},
        "eta": None,
        "taskset": None,
    }


def test_what_a_receiver_changes_is_what_is_sent() -> None:
    def mark(headers: dict[str, Any], properties: dict[str, Any], **words: Any) -> None:
        headers["trace"] = "t-1"
        properties["priority"] = 7

    signals.before_task_publish.connect(mark, sender="there.add")
    try:
        with memory_app() as app:
            app.send_task("there.add"), app.send_task("there.other")
            arrived = {message.headers["task"]: message for message in sent(app)}
    finally:
        signals.before_task_publish.disconnect(mark, sender="there.add")

    assert arrived["there.add"].headers["trace"] == "t-1"
    assert arrived["there.add"].properties["priority"] == 7
    assert "trace" not in arrived["there.other"].headers


def test_a_message_that_cannot_be_run_is_told_as_an_internal_error() -> None:
    app, got = App("proj"), []
    task = app.task(name="t")(lambda: 1)

    def receive(**words: Any) -> None:
        got.append(words)

    signals.task_internal_error.connect(receive)
    try:
        assert run(app, "t", data=b"[1]").header["refused"]
        assert run(app, "unknown").header["unregistered"]
    finally:
        signals.task_internal_error.disconnect(receive)

    (words,) = got
    assert (words["sender"], words["task_id"], words["request"].id) == (task, "id-1", "id-1")
    assert (words["args"], words["kwargs"]) == ((), {})
    assert "body is not" in str(words["exception"]) and words["einfo"].exception is words["exception"]
