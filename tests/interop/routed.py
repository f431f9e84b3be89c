"""Queues of every kind, for an app of ours and for Celery's, under names with a prefix."""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue
from kombu.common import Broadcast


def settings(prefix: str, *, rabbit: bool) -> dict[str, Any]:
    """Settings of an app whose queues these are; the prefix keeps them apart on a server that others use."""
    media = Exchange(f"{prefix}-media", type="topic")
    queues = [
        Queue(f"{prefix}-plain", Exchange(f"{prefix}-plain"), f"{prefix}-plain"),
        Queue(f"{prefix}-bare"),
        Queue(f"{prefix}-video", media, routing_key="media.video.#"),
        Queue(f"{prefix}-sound", media, routing_key="media.*.sound"),
        Queue(f"{prefix}-news", Exchange(f"{prefix}-papers", type="fanout"), ""),
        Broadcast(f"{prefix}-everyone"),
        Queue(f"{prefix}-not", Exchange(f"{prefix}-not"), f"{prefix}-not"),
    ]
    if rabbit:
        pdf = {"kind": "pdf", "x-match": "all"}
        heads = Exchange(f"{prefix}-heads", type="headers")
        queues += [
            Queue(f"{prefix}-pdf", heads, binding_arguments=pdf),
            Queue(
                f"{prefix}-quorum", Exchange(f"{prefix}-q"), "q", queue_arguments={"x-queue-type": "quorum"}
            ),
            Queue(f"{prefix}-urgent", Exchange(f"{prefix}-u"), "u", queue_arguments={"x-max-priority": 9}),
        ]
    return {
        "task_default_queue": f"{prefix}-default",
        "task_default_exchange": f"{prefix}-tasks",
        "task_default_exchange_type": "topic",
        "task_default_routing_key": "task.default",
        "task_queues": queues,
        "task_routes": ({"*.to_video": {"queue": f"{prefix}-video", "routing_key": "media.video.cut"}},),
        "worker_direct": True,
    }
