"""dramatiq with its default middleware: late acknowledgement, retries, time limits, 8 threads a process."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from ledger import Ledger

note = Ledger.of_run().note
URL, BACKEND = os.environ["BENCH_BROKER"], os.environ["BENCH_BACKEND"]
if URL.startswith("redis"):
    broker = RedisBroker(url=URL)
else:
    broker = RabbitmqBroker(url=URL.removesuffix("//") + "/%2f")  # pika takes the other form for another name
if BACKEND:
    broker.add_middleware(Results(backend=RedisBackend(url=BACKEND)))
dramatiq.set_broker(broker)
OPTIONS = {"store_results": True} if BACKEND else {}


@dramatiq.actor(**OPTIONS)
def noop(number: int) -> int | None:
    note(number)
    return number if BACKEND else None  # a value that nobody stores is warned of


def send(number: int) -> None:
    noop.send(number)
