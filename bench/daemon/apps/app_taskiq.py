"""taskiq with the brokers that its documents name first: a Redis stream, aio-pika.  Both acknowledge."""

from __future__ import annotations

import os
from typing import Any

from ledger import Ledger
from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

note = Ledger.of_run().note
URL, BACKEND = os.environ["BENCH_BROKER"], os.environ["BENCH_BACKEND"]
broker: Any = RedisStreamBroker(url=URL) if URL.startswith("redis") else AioPikaBroker(URL)
if BACKEND:
    broker = broker.with_result_backend(RedisAsyncResultBackend(redis_url=BACKEND))
connect, disconnect = broker.startup, broker.shutdown


@broker.task
async def noop(number: int) -> int:
    note(number)
    return number


async def send(number: int) -> None:
    await noop.kiq(number)
