"""A result writer on a hub that is turned by hand, and results for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis

from tests.support.eventually import eventually
from workerd.backends.base import BackendOptions
from workerd.backends.writer import ResultWriter, open_writer
from workerd.worker.loop.hub import Hub


def meta(state: str, **more: Any) -> bytes:
    return json.dumps({"status": state, "result": None, **more}).encode()


class Desk:
    """A writer on a hub, and the order in which its results were confirmed."""

    def __init__(self, url: str, **options: Any) -> None:
        self.hub = Hub()
        self.told: list[str] = []
        self.writer: ResultWriter = open_writer(url, self.hub, BackendOptions(**options))

    def store(self, task_id: str, state: str) -> None:
        self.writer.store(task_id, state, meta(state), lambda: self.told.append(f"{task_id} {state}"))

    def turn(self) -> bool:
        timer = self.hub.call_later(0.01, lambda: None)
        self.hub.turn()
        timer.cancel()
        return True

    def until(self, fact: Callable[[], object]) -> None:
        eventually(lambda: self.turn() and fact(), every=0.0)

    def close(self) -> None:
        self.writer.close()
        self.writer.close()
        assert not self.hub.readers
        assert not self.hub.writers
        self.hub.dispose()


def stored(client: redis.Redis, task_id: str) -> str:
    return str(json.loads(client.get(f"celery-task-meta-{task_id}") or b"{}").get("status"))
