"""Signals of tasks that the daemon sends: when, for whom, and what a receiver sees of the call."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd import App, Reject, signals
from workerd.protocol.exceptions import NotRegistered
from workerd.protocol.message import AmqpPayload
from workerd.worker.task_signals import TaskSignals
from workerd_pool import Cause

NAMES = ("task_received", "task_revoked", "task_failure", "task_unknown", "task_rejected")

Told = list[dict[str, Any]]

app = App("proj")
add = app.task(name="proj.add")(lambda x, y=0: x + y)


@pytest.fixture
def told() -> Iterator[dict[str, Told]]:
    """What each signal has said, in order."""
    got: dict[str, Told] = {name: [] for name in NAMES}
    receivers = []
    for name in NAMES:

        def receive(signal: Any, **words: Any) -> None:
            words["current"] = add.request.id
            got[signal.name].append(words)

        receivers.append((name, getattr(signals, name).connect(receive, weak=False)))
    yield got
    for name, receiver in receivers:
        getattr(signals, name).disconnect(receiver)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    worker: Any = SimpleNamespace(app=app, consumer="the consumer", hostname="main@here")
    desk.dispatcher.tell_app(TaskSignals(worker))
    return desk


def call(*args: Any, task: str = "proj.add", content: str = "application/json", **kwargs: Any) -> Any:
    """A message with a body, as AMQP carries it."""
    body = [list(args), kwargs, {}]
    data = pickle.dumps(body) if "pickle" in content or "python" in content else json.dumps(body).encode()
    headers = {"task": task, "id": "id-1", "root_id": "root"}
    parts = AmqpPayload({"content_type": content, "priority": 4}, headers, data, "", "celery", False)
    return delivery("t1", message("id-1", task=task, payload=msgspec.msgpack.encode(parts)))


def test_what_comes_is_told_with_its_request(desk: Desk, told: dict[str, Told]) -> None:
    desk.take(call(1, y=2))

    (words,) = told["task_received"]
    assert words["sender"] == "the consumer"
    request = words["request"]
    assert (request.id, request.name, request.args, request.kwargs) == ("id-1", "proj.add", [1], {"y": 2})


def test_arguments_that_could_run_code_are_not_looked_at(desk: Desk, told: dict[str, Told]) -> None:
    desk.take(call(1, content="application/x-python-serialize"))
    desk.lost(hard_limit=2.0)

    (words,) = told["task_received"]
    assert (words["request"].args, words["request"].kwargs) == ([], {})
    (failure,) = told["task_failure"]
    assert (failure["args"], failure["kwargs"]) == ((), {})


@pytest.mark.parametrize(
    ("death", "exception"),
    [({"hard_limit": 2.0}, TimeLimitExceeded), ({"deaths": 3}, WorkerLostError)],
)
def test_a_failure_that_no_child_can_tell_of(
    desk: Desk, told: dict[str, Told], death: dict[str, Any], exception: type[Exception]
) -> None:
    desk.take(call(1, y=2))
    for _ in range(death.pop("deaths", 1)):
        desk.lost(**death)

    (words,) = told["task_failure"]
    assert (words["sender"], words["task_id"], words["args"], words["kwargs"]) == (add, "id-1", [1], {"y": 2})
    assert isinstance(words["exception"], exception)
    assert words["einfo"].exception is words["exception"]
    assert exception.__name__ in words["traceback"]
    assert words["current"] == "id-1"  # task.request is that of the run
    assert told["task_revoked"] == []


def test_a_task_that_rejects_its_message_for_good_has_failed(desk: Desk, told: dict[str, Told]) -> None:
    desk.take(call(1), call(2))
    desk.done({"state": "REJECTED", "repr": "no paper", "requeue": True})
    desk.done({"state": "REJECTED", "repr": "no paper", "requeue": False})

    (words,) = told["task_failure"]
    assert isinstance(words["exception"], Reject) and words["exception"].reason == "no paper"


def test_what_a_child_tells_is_not_told_twice(desk: Desk, told: dict[str, Told]) -> None:
    desk.take(call(1), call(2))
    desk.done()
    desk.done({"state": "FAILURE", "repr": "ValueError()"})
    assert told["task_failure"] == told["task_revoked"] == []


def test_what_is_revoked_or_has_expired(desk: Desk, told: dict[str, Told]) -> None:
    desk.dispatcher.revokes.add(["id-r"])
    desk.take(
        delivery("r"),
        delivery("e", message("id-e", expires=1.0)),
        call(3),
        call(4),
    )
    desk.done({"state": "REVOKED"})
    desk.lost(cause=Cause.OPERATOR)

    said = [(words["terminated"], words["signum"], words["expired"]) for words in told["task_revoked"]]
    assert said == [(False, None, False), (False, None, True), (True, 15, False), (True, 9, False)]
    last = told["task_revoked"][-1]
    assert (last["sender"], last["request"].id, last["request"].args) == (add, "id-1", [4])
    assert last["request"].delivery_info["routing_key"] == "celery"
    assert last["request"].hostname == "main@here"


def test_a_task_that_nobody_has(desk: Desk, told: dict[str, Told]) -> None:
    desk.take(call(1, task="nobody"))

    (words,) = told["task_unknown"]
    assert (words["sender"], words["name"], words["id"]) == ("the consumer", "nobody", "id-1")
    assert isinstance(words["exc"], NotRegistered)
    assert words["message"].payload == [[1], {}, {}]
    assert told["task_failure"] == []


def test_a_message_that_cannot_be_read(desk: Desk, told: dict[str, Told]) -> None:
    broken = delivery("t1", None, problem="no task")
    desk.take(broken)

    (words,) = told["task_rejected"]
    assert (words["sender"], words["message"], str(words["exc"])) == ("the consumer", broken, "no task")


def test_the_cluster_is_told_beside_the_app(desk: Desk, told: dict[str, Told]) -> None:
    heard: list[str] = []
    cluster: Any = SimpleNamespace(
        received=lambda request: heard.append(request.id), unreadable=lambda delivery: heard.append("?")
    )
    desk.dispatcher.tell(cluster)
    desk.take(call(1), delivery("t2", None, problem="no task"))
    desk.dispatcher.tell(None)
    desk.take(call(1))

    assert heard == ["id-1", "?"]
    assert len(told["task_received"]) == 2
