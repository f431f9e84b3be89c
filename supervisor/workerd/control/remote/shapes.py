"""How requests are described to other nodes and their tools: Celery's keys and types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.protocol.envelope import MalformedError
from workerd.protocol.exceptions import InvalidTaskError
from workerd.protocol.incoming import open_payload

if TYPE_CHECKING:
    from workerd.delivery import Request

ETA_PRIORITY = 6
"""What Celery's timer gives to every task that waits for its ETA."""

MOST_DECODED = 64 * 1024
"""Bytes of a message whose arguments are decoded to be shown; those of a larger one are told as its sender
described them."""

PLAIN = ("json", "yaml", "msgpack")
"""Serializers that cannot name code to run."""


def task_info(request: Request, hostname: str, safe: bool = False) -> dict[str, Any]:
    """One task; ``safe`` tells its arguments as the text that its sender wrote of them."""
    message = request.message
    args, kwargs = (message.argsrepr, message.kwargsrepr) if safe else _arguments(request)
    return {
        "id": message.id,
        "name": request.name,
        "args": args,
        "kwargs": kwargs,
        "type": message.task,
        "hostname": hostname,
        "time_start": request.time_start,
        "acknowledged": request.acknowledged,
        "delivery_info": {
            "exchange": message.exchange,
            "routing_key": message.routing_key or request.delivery.queue,
            "priority": message.priority,
            "redelivered": request.delivery.redelivered,
        },
        "worker_pid": request.worker_pid,
    }


def scheduled_info(request: Request, hostname: str) -> dict[str, Any]:
    """One task that waits for its ETA."""
    eta = request.message.eta
    return {
        "eta": datetime.fromtimestamp(eta, UTC).isoformat() if eta is not None else None,
        "priority": ETA_PRIORITY,
        "request": task_info(request, hostname),
    }


def _arguments(request: Request) -> tuple[Any, Any]:
    message = request.message
    if len(message.payload) <= MOST_DECODED:
        try:
            args, kwargs, _ = open_payload(message.payload).load(PLAIN)
        except (MalformedError, InvalidTaskError, ContentDisallowed, DecodeError):
            pass  # what its child will say of it is no matter here
        else:
            return args, kwargs
    return message.argsrepr, message.kwargsrepr
