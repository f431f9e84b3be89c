"""The private brokers of a run: the servers of the tests.  Redis syncs its append-only file each second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import amqp
import redis

from bench.daemon.contenders import RABBITMQ, REDIS, SPREAD, Contender
from bench.daemon.proc import cpu_with_the_dead
from tests.support.brokers import RabbitServer, RedisServer

REST = 3.0
"""Seconds without work after which what went before is done: RabbitMQ goes through a queue that was filled
2 s later, for half a second of CPU time in 60,000 messages."""

LONGEST_REST = 60.0
"""Seconds after which a broker that finds no rest is taken as it is."""

QUIET = 0.02
"""Of one processor: RabbitMQ needs half of that to stay alive."""


class Broker:
    """A server that runs, as the measures see it."""

    def __init__(self, name: str, server: RedisServer | RabbitServer, rest: float = REST) -> None:
        self.name, self.server, self.url, self._rest = name, server, server.url, rest

    @property
    def pid(self) -> int:
        return self.server.pid

    def rest(self) -> None:
        """Return when it has had nothing to do for so long, so that nobody pays for what went before."""
        used, since, until = self._used(), time.monotonic(), time.monotonic() + LONGEST_REST
        while (now := time.monotonic()) < min(since + self._rest, until):
            time.sleep(0.25)
            if (found := self._used()) - used > QUIET * self._rest:
                used, since = found, now

    def _used(self) -> float:
        return cpu_with_the_dead([self.pid])

    def empty(self, contender: Contender, backend: str) -> None:
        """Nothing of an earlier run is left, neither here nor in the result backend."""
        for url in {self.url, backend} - {""}:
            if url.startswith("redis"):
                with redis.Redis.from_url(url) as client:
                    client.flushall()
        if isinstance(self.server, RabbitServer):
            with amqp.Connection(f"127.0.0.1:{self.server.port}") as connection:
                channel = connection.channel()
                for queue in contender.queues:
                    channel.queue_delete(queue)

    def left(self, contender: Contender) -> int:
        """Messages that wait or were not settled; on Redis only Celery's kin can be asked."""
        if isinstance(self.server, RedisServer):
            with self.server.client() as client:
                waiting = sum(int(client.llen(queue)) for queue in ("celery", *SPREAD))
                return waiting + int(client.hlen("unacked")) + int(client.zcard("workerd:delayed"))
        count = 0
        with amqp.Connection(f"127.0.0.1:{self.server.port}") as connection:
            for queue in contender.queues:
                try:
                    count += connection.channel().queue_declare(queue, passive=True).message_count
                except amqp.NotFound:
                    continue
        return count

    def waiting(self, contender: Contender) -> int:
        """Messages in Redis that nobody has seen to; those that Celery holds for later it has seen to."""
        with redis.Redis.from_url(self.url) as client:
            waiting = int(client.llen("celery"))
            return waiting + (int(client.hlen("unacked")) if contender.ours else 0)

    def stored(self, backend: str, contender: Contender) -> int:
        """Results that are there."""
        with redis.Redis.from_url(backend) as client:
            if "*" in contender.results or "?" in contender.results:
                return sum(1 for _ in client.scan_iter(contender.results, count=10_000))
            return int(client.hlen(contender.results))


@contextmanager
def open_broker(name: str, rest: float = REST) -> Iterator[Broker]:
    """``redis`` or ``rabbitmq``, with an empty home of its own."""
    servers: dict[str, type[RedisServer | RabbitServer]] = {REDIS: RedisServer, RABBITMQ: RabbitServer}
    with tempfile.TemporaryDirectory(prefix="wd-broker-") as home:
        server = servers[name](Path(home))
        server.start()
        try:
            yield Broker(name, server, rest)
        finally:
            server.stop()
