"""Apps that publish into kombu's memory transport, and the messages that arrive there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from workerd import App
from workerd.app.running.runner import AppRunner
from workerd.protocol.message import message_from_amqp
from workerd.protocol.result import Coding


def memory_app(**settings: Any) -> App:
    """An app with a queue of its own in this process, and a backend to which nothing here connects."""
    queue = f"q-{uuid.uuid4()}"
    return App("proj", broker="memory://", backend="redis://nowhere", task_default_queue=queue, **settings)


def sent(app: App, queue: str | None = None) -> list[Any]:
    """Every message that waits in the app's queue, the oldest first."""
    found = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        app.queue(queue or app.conf.task_default_queue)(channel).declare()
        while (message := channel.basic_get(queue or app.conf.task_default_queue, no_ack=True)) is not None:
            found.append(message)
    return found


def body(message: Any) -> Any:
    return json.loads(message.body)


def signature(task: str, *args: Any, **fields: Any) -> dict[str, Any]:
    """A signature as a message carries it."""
    plain = {"kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    return {"task": task, "args": list(args), **plain, **fields}


class Up:
    """A child's way to its supervisor that only remembers."""

    def __init__(self, at_the_end: BaseException | None = None) -> None:
        self.frames: list[tuple[str, dict[str, Any]]] = []
        self.shields = 0
        self._at_the_end = at_the_end

    def shield(self) -> None:
        """Interrupted by ``at_the_end`` in the moment before nothing interrupts any more."""
        self.shields += 1
        if self.shields == 1 and self._at_the_end is not None:
            raise self._at_the_end

    def progress(self, header: dict[str, Any], data: bytes) -> None:
        self.frames.append((header["state"], Coding().decode(data)))


class Ran:
    """What a child told of one message."""

    def __init__(self, header: dict[str, Any], data: bytes, up: Up) -> None:
        self.header = header
        self.meta = Coding().decode(data) if data else {}
        self.progress = up.frames

    @property
    def state(self) -> str:
        return str(self.header["state"])


def run(
    app: App,
    task: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    embed: Mapping[str, Any] | None = None,
    data: bytes | None = None,
    up: Up | None = None,
    **headers: Any,
) -> Ran:
    """Run one message as a child would."""
    content = (
        json.dumps([list(args), dict(kwargs or {}), dict(embed or {})]).encode() if data is None else data
    )
    message = message_from_amqp(
        {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "correlation_id": "id-1",
            "priority": 3,
        },
        {"task": task, "id": "id-1", "root_id": "root-1", **headers},
        content,
        exchange="",
        routing_key=app.conf.task_default_queue,
        redelivered=False,
    )
    up = up or Up()
    return Ran(*AppRunner(app).run({"hostname": "main@here", "deaths": 1}, message.payload, up), up)
