"""A single result that Redis does not take, though it takes others, has an end; an outage has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.process.backends.desk import Desk, meta, stored
from tests.support.brokers import RedisServer
from workerd.backends import redis_writer as writer_module

MB = 1 << 20
CONTINUED = "the task ended with SUCCESS, but its result of {size} bytes cannot be stored: "


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that reads a megabyte at most in one piece."""
    server = RedisServer(tmp_path / "redis")
    server.options = ["--proto-max-bulk-len", "1mb"]
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def desk(server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(writer_module, "LONGEST_DELAY", 2.0)
    desk = Desk(server.url)
    desk.store("first", "SUCCESS")
    desk.until(lambda: desk.told)
    yield desk
    desk.close()


def store(desk: Desk, task_id: str, state: str, size: int) -> int:
    data = meta(state, filler="x" * size)
    desk.writer.store(task_id, state, data, lambda: desk.told.append(f"{task_id} {state}"))
    return len(data)


def room(client: redis.Redis, size: int) -> None:
    """Leave the server so many bytes of memory; 0 is no limit."""
    client.config_set("maxmemory", client.info("memory")["used_memory"] + size if size else 0)


def reason(client: redis.Redis, task_id: str) -> Any:
    result = json.loads(client.get(f"celery-task-meta-{task_id}") or b"{}")["result"]
    assert (result["exc_type"], result["exc_module"]) == ("BackendStoreError", "celery.exceptions")
    return result["exc_message"][0]


def test_one_that_is_too_large_to_be_read_is_a_failure_at_once(
    desk: Desk, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store(desk, "small", "SUCCESS", 10)
    size = store(desk, "large", "SUCCESS", 3 * MB)
    store(desk, "other", "FAILURE", MB // 2)
    desk.until(lambda: desk.writer.pending == 0)
    assert sorted(desk.told[1:]) == ["large SUCCESS", "other FAILURE", "small SUCCESS"]
    assert [stored(client, task_id) for task_id in ("small", "large")] == ["SUCCESS", "FAILURE"]
    told = reason(client, "large")
    assert told.startswith(CONTINUED.format(size=size))
    assert "takes nothing of that size (ERR Protocol error: invalid bulk length)" in told
    assert f"task large (SUCCESS, {size} bytes) cannot be stored, and is stored as a failure" in caplog.text
    assert desk.writer.problem == ""


def test_progress_that_is_too_large_is_left_out(desk: Desk, client: redis.Redis) -> None:
    desk.writer.store("a", "PROGRESS", meta("PROGRESS", filler="x" * 3 * MB), None)
    desk.store("a", "SUCCESS")
    desk.until(lambda: desk.writer.pending == 0)
    assert stored(client, "a") == "SUCCESS"


def test_one_that_does_not_fit_into_a_full_server_is_a_failure_after_a_while(
    desk: Desk, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PATIENCE", 0.5)
    room(client, 600_000)
    size = store(desk, "large", "SUCCESS", MB - 1000)
    desk.until(lambda: desk.writer.problem)
    desk.store("small", "SUCCESS")
    desk.until(lambda: "small SUCCESS" in desk.told)
    assert desk.writer.pending == 1
    assert "has reached its maxmemory and takes nothing more (OOM" in desk.writer.problem
    desk.until(lambda: desk.writer.pending == 0)
    assert reason(client, "large").startswith(CONTINUED.format(size=size))
    assert desk.writer.problem == ""


def test_one_that_fits_in_later_is_stored_as_it_is(
    desk: Desk, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    room(client, 600_000)
    size = store(desk, "large", "SUCCESS", MB - 1000)
    desk.until(lambda: desk.writer.problem)
    room(client, 0)
    desk.until(lambda: desk.writer.pending == 0)
    assert client.strlen("celery-task-meta-large") == size
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["Result backend refuses"]


def test_a_server_that_takes_none_at_all_is_waited_for(
    desk: Desk, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PATIENCE", 0.2)
    client.config_set("maxmemory", 1)
    size = store(desk, "large", "SUCCESS", MB - 1000)
    desk.store("small", "SUCCESS")
    refused = lambda: client.info("errorstats")["errorstat_OOM"]["count"]  # noqa: E731
    desk.until(lambda: desk.writer.problem)
    before = refused()
    desk.until(lambda: refused() > before + 6)  # three rounds, each with a look whether others are taken
    assert desk.writer.pending == 2
    room(client, 0)
    desk.until(lambda: desk.writer.pending == 0)
    assert client.strlen("celery-task-meta-large") == size
    assert stored(client, "small") == "SUCCESS"
