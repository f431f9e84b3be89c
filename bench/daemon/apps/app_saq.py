"""saq with its default of 10 tasks at once in each process."""

from __future__ import annotations

import os
from typing import Any

from ledger import Ledger
from saq import Queue

note = Ledger.of_run().note
TTL = 600 if os.environ["BENCH_BACKEND"] else -1
"""Seconds for which a finished job, and with it its result, is kept; -1 is not at all."""
queue = Queue.from_url(os.environ["BENCH_BROKER"])
connect, disconnect = queue.connect, queue.disconnect


async def noop(context: Any, *, number: int) -> int:
    note(number)
    return number


settings = {"queue": queue, "functions": [noop], "shutdown_grace_period_s": 30}
"""Without the last one a stop cuts running tasks off, and they run again."""


async def send(number: int) -> None:
    await queue.enqueue("noop", number=number, ttl=TTL)
