"""Stock Celery workers and commands on the same Redis: each takes back what the other held when it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.interop.stock import ROOT, stock_client, stock_worker
from tests.process.source.node import envelope
from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually

# kombu looks for what has been held too long each ten seconds, and then only every tenth time.
EAGER = {"visibility_timeout": 1, "unacked_restore_interval": 0.2, "unacked_restore_throttle": 1}


class Cluster:
    """A daemon and a Celery worker on one Redis, each when it is asked for."""

    def __init__(self, stack: ExitStack, home: Path, url: str) -> None:
        self.home, self.url, self.stack = home, url, stack
        self.gate = home / "gate"

    def daemon(self, **env: str) -> Workerd:
        home = self.home / "d"
        home.mkdir()
        started = running(home, broker=self.url, backend=self.url, size="1", env=env)
        return self.stack.enter_context(started)

    def celery(self, **transport: Any) -> subprocess.Popen[bytes]:
        options = json.dumps(transport)
        started = stock_worker(self.home / "c", self.url, self.url, STOCK_TRANSPORT=options)
        return self.stack.enter_context(started)

    @property
    def runs_in_celery(self) -> bool:
        return Path(f"{self.gate}.celery").exists()


@pytest.fixture
def cluster(short_dir: Path, redis_url: str) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, short_dir, redis_url)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


def test_a_celery_worker_takes_back_what_a_dead_daemon_held(cluster: Cluster, client: redis.Redis) -> None:
    daemon = cluster.daemon(WORKERD_LEASE="1s")
    with stock_client(cluster.url, cluster.url) as app:
        sent = app.send_task("ledger.hold", (1, str(cluster.gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(9)
        daemon.wait()
        cluster.celery(**EAGER)
        eventually(lambda: cluster.runs_in_celery)
        cluster.gate.touch()
        assert sent.get(timeout=30) == "celery 1"
    eventually(lambda: not client.exists("unacked", "unacked_index"))


def test_a_daemon_takes_back_what_a_dead_celery_worker_held(cluster: Cluster, client: redis.Redis) -> None:
    worker = cluster.celery()
    with stock_client(cluster.url, cluster.url) as app:
        sent = app.send_task("ledger.hold", (1, str(cluster.gate)))
        eventually(lambda: cluster.runs_in_celery)
        worker.kill()
        worker.wait(20)
        assert client.hlen("unacked") == 1
        conf = json.dumps({"broker_transport_options": {"visibility_timeout": 2}})
        daemon = cluster.daemon(LEDGER_CONF=conf)
        eventually(lambda: daemon.ran("start")[1] == 1)
        cluster.gate.touch()
        assert sent.get(timeout=30) == 1
    assert daemon.logged("Gave back 1 of Celery's messages")
    eventually(lambda: not client.exists("unacked", "unacked_index"))


def test_a_short_visibility_timeout_beside_us_takes_nothing_that_runs_here(
    cluster: Cluster, client: redis.Redis
) -> None:
    daemon = cluster.daemon()
    with stock_client(cluster.url, cluster.url) as app:
        sent = app.send_task("ledger.hold", (1, str(cluster.gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        cluster.celery(**EAGER)
        for _ in range(3):  # each is restored by a look of the worker that has passed ours over
            entry = b"[" + envelope("t", "elsewhere") + b', "", "elsewhere"]'
            client.hset("unacked", "theirs", entry)
            client.zadd("unacked_index", {"theirs": time.time() - 60})
            eventually(lambda: client.rpop("elsewhere"))
        cluster.gate.touch()
        assert sent.get(timeout=30) == 1
    assert daemon.ran("start") == {1: 1}
    assert not cluster.runs_in_celery


@pytest.mark.long
def test_a_visibility_timeout_of_twenty_seconds_beside_us_takes_nothing_that_runs_here(
    cluster: Cluster, client: redis.Redis
) -> None:
    daemon = cluster.daemon()
    with stock_client(cluster.url, cluster.url) as app:
        sent = app.send_task("ledger.hold", (1, str(cluster.gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        cluster.celery(**EAGER | {"visibility_timeout": 20})
        for _ in range(2):  # each is younger than ours, and is restored when its twenty seconds are over
            client.hset("unacked", "theirs", b"[" + envelope("t", "elsewhere") + b', "", "elsewhere"]')
            client.zadd("unacked_index", {"theirs": time.time()})
            eventually(lambda: client.rpop("elsewhere"), within=60)
        cluster.gate.touch()
        assert sent.get(timeout=30) == 1
    assert daemon.ran("start") == {1: 1}
    assert not cluster.runs_in_celery


def celery(url: str, *words: str) -> str:
    """A ``celery`` command's output."""
    argv = [sys.executable, "-m", "celery", "-A", "tests.interop.stock_app", *words]
    env = {**os.environ, "STOCK_BROKER": url, "STOCK_BACKEND": url}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_celery_purge_takes_what_waits_and_leaves_what_runs(cluster: Cluster, client: redis.Redis) -> None:
    daemon = cluster.daemon()
    with stock_client(cluster.url, cluster.url) as app:
        held = app.send_task("ledger.hold", (1, str(cluster.gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        for number in range(20):
            app.send_task("ledger.run", (100 + number,), ignore_result=True)
        # What is fetched already for the moment in which the slot is free is in flight, and stays.
        eventually(lambda: 20 - client.llen("celery") == client.hlen("unacked") - 1)
        waiting = client.llen("celery")
        assert f"Purged {waiting} messages" in celery(cluster.url, "purge", "-f")
        cluster.gate.touch()
        assert held.get(timeout=30) == 1
        assert app.send_task("ledger.run", (2,)).get(timeout=30) == 2
    assert daemon.ran()[2] == 1
    assert len([number for number in daemon.ran() if number >= 100]) == 20 - waiting


def test_celery_inspect_asks_a_worker_beside_us_and_us(cluster: Cluster) -> None:
    daemon = cluster.daemon()
    cluster.celery()
    nodes = [f"{name}@{os.uname().nodename}" for name in ("celery", "main")]
    shown = celery(cluster.url, "inspect", "ping", "-t", "20", "-d", ",".join(nodes))
    assert all(f"{node}: OK\n        pong" in shown for node in nodes), shown
    with stock_client(cluster.url, cluster.url) as app:
        [queues] = app.control.inspect([f"celery@{os.uname().nodename}"]).active_queues().values()
        assert [queue["name"] for queue in queues] == ["celery"]
        assert daemon.status()["link"]["restarts"] == 0
