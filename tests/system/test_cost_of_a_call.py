"""What a message costs who sends it, counted and not timed: calls of Python functions.

A budget is about a seventh above what was counted when it was set.  Where a change makes calls cheaper, lower
it, so that the next one cannot undo that.
"""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest

from workerd import App, Task, group

WINDOW = 500

Send = Callable[[App, Task, int], object]


def one_by_one(app: App, task: Task, count: int) -> None:
    for number in range(count):
        task.delay(number)


def many_at_once(app: App, task: Task, count: int) -> None:
    app.send_many([(task, (number,)) for number in range(count)])


def as_a_group(app: App, task: Task, count: int) -> None:
    group(task.s(number) for number in range(count)).apply_async()


@pytest.mark.parametrize(
    ("url", "send", "calls"),
    [
        pytest.param("redis_url", one_by_one, 90, id="redis, one by one"),
        pytest.param("redis_url", many_at_once, 57, id="redis, many at once"),
        pytest.param("redis_url", as_a_group, 128, id="redis, a group"),
        pytest.param("rabbit_url", one_by_one, 100, id="rabbitmq, one by one"),
        pytest.param("rabbit_url", many_at_once, 60, id="rabbitmq, many at once"),
        pytest.param("rabbit_url", as_a_group, 134, id="rabbitmq, a group"),
    ],
)
def test_a_message_costs_its_sender_no_more_than_its_budget(
    request: pytest.FixtureRequest, url: str, send: Send, calls: int
) -> None:
    counts: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            counts[f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}"] += 1

    queue = f"cost-{uuid.uuid4()}"
    with App("client", broker=request.getfixturevalue(url), task_default_queue=queue) as app:
        task = app.task(name="cost.noop")(lambda number: None)
        for _ in range(3):  # the connection, the outlet, the kind of call
            send(app, task, 3)
        sys.setprofile(note)
        try:
            send(app, task, WINDOW)
        finally:
            sys.setprofile(None)
        with app.connection_for_write() as connection:
            connection.default_channel.queue_delete(queue)
    each = {name: count / WINDOW for name, count in counts.items()}
    found = sum(each.values())
    print(f"a message: {found:.0f} Python calls")
    most = sorted(each.items(), key=lambda item: -item[1])
    print(*(f"{count:8.2f} {name}" for name, count in most if count > 0.1), sep="\n")
    assert found <= calls
