"""The same tasks for a daemon of ours and, with STOCK_BROKER set, for an unmodified Celery worker."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

if broker := os.environ.get("STOCK_BROKER"):
    # Each side imports its own: a Celery of another version may live where there is no workerd.
    from celery import Celery

    app: Any = Celery("proj", broker=broker, backend=os.environ["STOCK_BACKEND"])
    app.conf.broker_connection_retry_on_startup = True
    app.conf.task_default_queue = "theirs"
else:
    from workerd import App

    app = App("proj")
    app.conf.task_default_queue = "ours"


@app.task(name="proj.add")
def add(x: Any, y: Any) -> Any:
    return x + y


@app.task(name="proj.total")
def total(values: Any) -> Any:
    return sum(total(value) if isinstance(value, list) else value for value in values)


@app.task(name="proj.boom")
def boom(*args: Any) -> None:
    raise ValueError("boom")


@app.task(name="proj.tell")
def tell(task_id: str, key: str) -> None:
    """An errback of the older form: it gets the id of the call that failed."""
    add.apply_async((task_id, ""), task_id=key)


@app.task(name="proj.instead", bind=True)
def instead(self: Any, how: str, queue: str) -> Any:
    sig = add.s(20, 22).set(queue=queue)
    if how == "group":
        sig = app_group()([add.s(1, 1).set(queue=queue), add.s(2, 2).set(queue=queue)])
    elif how == "chain":
        sig = add.s(20, 20).set(queue=queue) | add.s(2).set(queue=queue)
    return self.replace(sig)


@app.task(name="proj.more", bind=True)
def more(self: Any, queue: str) -> int:
    """A part of a chord that adds another one to it."""
    self.add_to_chord(add.s(10, 10).set(queue=queue))
    return 1


@app.task(name="proj.sleep", time_limit=1)
def sleep() -> None:
    time.sleep(60)


def app_group() -> Any:
    return importlib.import_module("celery" if broker else "workerd").group
