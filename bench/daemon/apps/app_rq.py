"""rq: a process is forked for each job."""

from __future__ import annotations

import os
from typing import Any

from ledger import Ledger
from redis import Redis
from rq import Queue

note = Ledger.of_run().note
RESULT_TTL = 500 if os.environ["BENCH_BACKEND"] else 0
queue = Queue(connection=Redis.from_url(os.environ["BENCH_BROKER"]))


def noop(number: int) -> int:
    note(number)
    return number


def send(number: int) -> None:
    queue.enqueue(noop, number, result_ttl=RESULT_TTL)


def send_many(numbers: range, shape: dict[str, Any]) -> None:
    queue.enqueue_many([Queue.prepare_data(noop, (number,), result_ttl=RESULT_TTL) for number in numbers])
