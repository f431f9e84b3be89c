"""The same tasks as ``stock_app`` has, in an App of ours, and a way to run one message in this process."""

from __future__ import annotations

from typing import Any

from workerd import App
from workerd.app.running.runner import AppRunner
from workerd.protocol.message import message_from_redis


def make_app(broker: str, backend: str, **settings: Any) -> App:
    """An app whose tasks are declared anew, so that tests share nothing."""
    app = App("proj", broker=broker, backend=backend, **settings)

    @app.task(name="proj.add")
    def add(x: Any, y: Any) -> Any:
        return x + y

    @app.task(name="proj.boom")
    def boom(text: str) -> None:
        raise ValueError(text, 7)

    @app.task(name="proj.flaky", bind=True, max_retries=3)
    def flaky(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0, exc=KeyError("again"))
        return int(self.request.retries)

    @app.task(name="proj.progress", bind=True, track_started=True)
    def progress(self: Any, total: int) -> str:
        self.update_state(state="PROGRESS", meta={"done": 1, "total": total})
        return "done"

    @app.task(name="proj.spawn")
    def spawn() -> str:
        return str(add.delay(1, 1).id)

    @app.task(name="proj.describe", bind=True)
    def describe(self: Any) -> dict[str, Any]:
        return {"key": self.request.delivery_info["routing_key"], "headers": self.request.headers}

    return app


class Link:
    """Stores what a child sends up, as the supervisor does."""

    def __init__(self, app: App, task_id: str) -> None:
        self.app, self.task_id = app, task_id
        self.states: list[str] = []

    def progress(self, header: dict[str, Any], body: bytes) -> None:
        self.states.append(header["state"])
        self.app.backend.store(self.task_id, header["state"], body)

    def shield(self) -> None:
        """Nothing interrupts here."""


def run_next(app: App, client: Any, queue: str = "celery") -> tuple[dict[str, Any], list[str]]:
    """Take the oldest message of a Redis list, run it as a child would, and store its result."""
    raw = client.rpop(queue)
    assert raw is not None, f"queue {queue} is empty"
    message = message_from_redis(raw)
    link = Link(app, message.id)
    outcome, meta = AppRunner(app).run({"hostname": "main@here", "queue": queue}, message.payload, link)
    if outcome["store"]:
        state = "FAILURE" if outcome["state"] == "REJECTED" else outcome["state"]
        app.backend.store(message.id, state, meta)
    return outcome, link.states
