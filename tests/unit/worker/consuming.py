"""A task consumer with one link, before a dispatcher with fakes around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd import App
from workerd.protocol.message import AmqpPayload
from workerd.worker.consumer.surface import TaskSurface
from workerd.worker.consumer.task_consumer import TaskConsumer
from workerd.worker.loop.hub import Hub


class Bed:
    """A consumer with one link, whose source is the desk's."""

    def __init__(self) -> None:
        self.desk = Desk()
        parts = {"app": App("proj"), "dispatcher": self.desk.dispatcher, "hub": Hub(), "hostname": "w@h"}
        worker: Any = type("Worker", (), parts)()
        self.c = TaskSurface(worker)
        self.c.app, self.c.controller, self.c.broadcast = worker.app, worker, None
        self.connect()

    def connect(self) -> None:
        self.consumer = TaskConsumer(self.c, self.desk.source)  # type: ignore[arg-type]
        self.c.task_source, self.c.task_consumer = self.desk.source, self.consumer  # type: ignore[assignment]

    def come(self, *tags: str, task: str = "proj.add") -> None:
        self.consumer.take([delivery(tag, letter(f"id-{tag}", task)) for tag in tags])

    @property
    def running(self) -> list[str]:
        return [job.title.partition("[")[2].rstrip("]") for job in self.desk.pool.jobs]


def letter(task_id: str, task: str) -> Any:
    parts = AmqpPayload(
        {"correlation_id": task_id, "content_type": "application/json"},
        {"task": task, "id": task_id, "x-mine": "yes"},
        b"[[1], {}, {}]",
        "",
        "celery",
        False,
    )
    return message(task_id, task, payload=msgspec.msgpack.encode(parts))


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.c.controller.hub.dispose()
