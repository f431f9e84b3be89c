"""What steps put in a strategy's place, and callbacks for each task that is taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.delivery.fakes import delivery
from tests.unit.worker.consuming import Bed, bed, letter
from workerd.worker.consumer.task_message import TaskMessage

__all__ = ["bed"]


def test_a_step_may_replace_the_strategy_of_one_task(bed: Bed) -> None:
    given: list[Any] = []

    def mine(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        given.append((message.headers["id"], body, list(callbacks)))
        ack("a logger", (OSError,)) if message.headers["id"] == "id-a" else reject(requeue=True)

    bed.c.strategies["proj.add"] = mine
    bed.come("a", "b")
    bed.come("c", task="proj.strict")
    assert given == [("id-a", None, []), ("id-b", None, [])]
    assert (bed.desk.source.settled, bed.desk.source.given_back) == (["a"], ["b"])
    assert bed.running == ["id-c"]


def test_a_strategy_may_pass_on_to_the_one_before_it(bed: Bed) -> None:
    default = bed.c.strategies.setdefault("proj.add", bed.c.strategies.default)
    counted: list[str] = []

    def counting(message: Any, *rest: Any) -> None:
        counted.append(message.task)
        default(message, *rest)

    bed.c.strategies["proj.add"] = counting
    bed.come("a")
    assert (counted, bed.running) == (["proj.add"], ["id-a"])
    bed.c.strategies["proj.add"] = default
    assert bed.c.strategies.replaced == {}


def test_new_code_brings_its_tasks_and_leaves_what_was_replaced(bed: Bed) -> None:
    def mine(*_: Any) -> None: ...

    bed.c.strategies["proj.add"] = mine
    bed.c.update_strategies()
    theirs = {"proj.early", "proj.strict", "proj.once", "proj.once.aside"}
    assert set(bed.c.strategies) == {"proj.add", *theirs}
    assert bed.c.strategies["proj.add"] is mine
    del bed.c.strategies["proj.add"]
    bed.c.update_strategies()
    assert bed.c.strategies["proj.add"] is bed.c.strategies.default


def test_callbacks_are_given_each_request_before_it_runs_or_waits(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, str, str]] = []

    class Watch:
        def see(self, request: Any) -> None:
            seen.append((request.id, request.name, request.stage.name))

    def once(request: Any) -> None:
        bed.c.on_task_message.remove(once)
        raise LookupError(request.id)

    watch = Watch()
    bed.c.on_task_message.add(once)
    for _ in "ab":  # as a step does that starts with every link
        bed.c.on_task_message.add(watch.see)
    late = letter("id-late", "proj.add")
    late.eta = bed.desk.clock.wall() + 30
    bed.come("a")
    bed.consumer.take([delivery("late", late)])
    assert seen == [("id-a", "proj.add", "RESERVED"), ("id-late", "proj.add", "RESERVED")]
    assert bed.running == ["id-a"]
    assert caplog.text.count("once: LookupError('id-a')") == 1
    bed.c.on_task_message.discard(watch.see)
    bed.come("b")
    assert len(seen) == 2 and bed.running == ["id-a", "id-b"]


def test_a_strategy_is_given_the_callbacks_and_calls_them_for_what_it_takes(bed: Bed) -> None:
    seen: list[Any] = []

    def mine(message: TaskMessage, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        for callback in callbacks:
            callback(message)
        ack()

    bed.c.on_task_message.add(seen.append)
    bed.c.strategies["proj.add"] = mine
    bed.come("a")
    assert [found.task for found in seen] == ["proj.add"]
