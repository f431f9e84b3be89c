"""A Celery app for an unmodified Celery worker; the environment names its servers."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from tests.interop.routed import settings

app = Celery("proj", broker=os.environ.get("STOCK_BROKER"), backend=os.environ.get("STOCK_BACKEND"))
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = os.environ.get("STOCK_QUEUE", "celery")
app.conf.broker_transport_options = json.loads(os.environ.get("STOCK_TRANSPORT", "{}"))
app.conf.task_track_started = bool(os.environ.get("STOCK_TRACK_STARTED"))
app.conf.task_queue_max_priority = int(os.environ.get("STOCK_MAX_PRIORITY", "0")) or None

if routed := os.environ.get("STOCK_ROUTED"):
    prefix, _, broker = routed.partition(" ")
    app.conf.update(settings(prefix, rabbit=broker == "rabbit"))


@app.task(name="proj.add")
def add(x: Any, y: Any) -> Any:
    return x + y


@app.task(name="proj.boom")
def boom(text: str) -> None:
    raise ValueError(text, 7)


@app.task(name="proj.describe", bind=True)
def describe(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    request = self.request
    return {
        "args": args,
        "kwargs": kwargs,
        "id": request.id,
        "root": request.root_id,
        "expires": request.expires,
        "eta": request.eta,
        "priority": request.delivery_info["priority"],
        "key": request.delivery_info["routing_key"],
        "tenant": (request.headers or {}).get("tenant"),
        "timelimit": list(request.timelimit or ()),
    }


@app.task(name="proj.flaky", bind=True, max_retries=3)
def flaky(self: Any) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0, exc=KeyError("again"))
    return int(self.request.retries)


@app.task(name="proj.spawn")
def spawn() -> str:
    return str(add.delay(1, 1).id)


@app.task(name="ledger.hold", acks_late=True)
def hold(number: int, gate: str) -> str:
    """As the task of this name in a daemon of ours, but it notes its start beside the gate."""
    Path(f"{gate}.celery").touch()
    while not Path(gate).exists():
        time.sleep(0.02)
    return f"celery {number}"


@app.task(name="proj.unknown")
def unknown() -> None:
    """Ends with an exception whose class its caller cannot import."""
    raise type("NeverImported", (Exception,), {"__module__": "no.such.module"})("what", 1)


@app.task(name="shared.sum")
def shared_sum(numbers: list[int]) -> int:
    """As the task of this name in a daemon of ours."""
    return sum(numbers)
