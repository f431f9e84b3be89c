"""A Redis that is up and takes no work: the daemon says why, keeps trying, and goes on when it does again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for this test to bring into bad states."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def read_only(client: redis.Redis, on: bool) -> None:
    client.execute_command("REPLICAOF", *(("127.0.0.1", "1") if on else ("NO", "ONE")))


def unable_to_save(client: redis.Redis, on: bool) -> None:
    """A directory stands where the file should go."""
    file = Path(client.config_get("dir")["dir"], "dump.rdb")
    if on:
        (file / "full").mkdir(parents=True)
    else:
        shutil.rmtree(file)
    client.config_set("save", "3600 1")
    client.bgsave()
    eventually(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])


@pytest.mark.parametrize(
    ("state", "words"),
    [(read_only, "is a read-only replica"), (unable_to_save, "cannot write its data to disk")],
)
def test_a_redis_that_takes_no_changes_is_told_and_waited_for(
    start: Start, server: RedisServer, state: Callable[[redis.Redis, bool], None], words: str
) -> None:
    daemon = start(broker=server.url, backend=server.url)
    with daemon.client() as app, server.client() as client:
        held = app.send_task("ledger.hold", (1, "gate"))
        eventually(lambda: daemon.ran("start")[1] == 1)
        state(client, True)
        shown = eventually(daemon.degraded)
        assert f"trying again: {server.url} {words}" in shown
        (daemon.home / "gate").touch()
        eventually(lambda: daemon.ran()[1] == 1)
        state(client, False)
        assert held.get(timeout=60) == 1
        assert app.send_task("ledger.run", (2,)).get(timeout=60) == 2
        eventually(lambda: not daemon.degraded())
    assert daemon.text().count("Connection to the broker lost") == 1
    assert daemon.ran("start") == {1: 1, 2: 1}


def test_a_redis_without_memory_still_gives_out_its_work(start: Start, server: RedisServer) -> None:
    daemon = start(broker=server.url)
    with daemon.client() as app, server.client() as client:
        sent = [app.send_task("ledger.run", (number, 0.3), ignore_result=True) for number in range(6)]
        client.config_set("maxmemory", "1")
        eventually(lambda: len(daemon.ran()) == len(sent))
        eventually(lambda: not client.exists("unacked", "celery"))
    assert not daemon.degraded()
    assert daemon.status()["link"]["restarts"] == 0


def test_a_redis_that_is_still_loading_is_waited_for(
    make: Callable[..., Workerd], server: RedisServer
) -> None:
    with server.client() as client:
        # It looks at its connections once in so many bytes, so they must not be few.
        client.mset({f"k{number}": os.urandom(4000) for number in range(5000)})
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        eventually(lambda: not client.info("persistence")["aof_rewrite_scheduled"])
    server.stop()
    server.options = ["--key-load-delay", "30000", "--loading-process-events-interval-bytes", "1024"]
    server.start(wait=False)
    daemon = make(broker=server.url)
    daemon.start(ready=False)
    shown = eventually(daemon.degraded, within=60)
    assert "is loading" in shown or "is still loading" in shown
    with server.client() as client:
        client.config_set("key-load-delay", 0)  # else it would take minutes
    daemon.wait_ready()
    assert daemon.stop() == 0
