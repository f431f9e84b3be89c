"""The supervisor's result writer against a real server, through outages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from workerd.backends import writer as writer_module
from workerd.backends.base import BackendOptions
from workerd.backends.writer import NullWriter, RedisResultWriter, ResultWriter, open_writer
from workerd.errors import ConfigError
from workerd.worker.hub import Hub


def meta(state: str, **more: Any) -> bytes:
    return json.dumps({"status": state, "result": None, **more}).encode()


class Desk:
    """A writer on a hub, and the order in which its results were confirmed."""

    def __init__(self, url: str, **options: Any) -> None:
        self.hub = Hub()
        self.told: list[str] = []
        self.writer: ResultWriter = open_writer(url, self.hub, BackendOptions(**options))

    def store(self, task_id: str, state: str) -> None:
        self.writer.store(task_id, state, meta(state), lambda: self.told.append(f"{task_id} {state}"))

    def turn(self) -> bool:
        timer = self.hub.call_later(0.01, lambda: None)
        self.hub.turn()
        timer.cancel()
        return True

    def until(self, fact: Callable[[], object]) -> None:
        eventually(lambda: self.turn() and fact(), every=0.0)

    def close(self) -> None:
        self.writer.close()
        self.writer.close()
        assert not self.hub.readers
        assert not self.hub.writers
        self.hub.dispose()


@pytest.fixture
def desk(redis_url: str) -> Iterator[Desk]:
    desk = Desk(redis_url)
    yield desk
    desk.close()


@pytest.fixture
def client(redis_server: RedisServer, redis_url: str) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


def stored(client: redis.Redis, task_id: str) -> str:
    return str(json.loads(client.get(f"celery-task-meta-{task_id}") or b"{}").get("status"))


def test_a_result_is_kept_for_its_time_and_published(desk: Desk, client: redis.Redis) -> None:
    channel = client.pubsub()
    channel.subscribe("celery-task-meta-a")
    desk.store("a", "SUCCESS")
    assert desk.writer.pending == 1
    desk.until(lambda: desk.told)
    assert desk.writer.pending == 0
    assert client.get("celery-task-meta-a") == meta("SUCCESS")
    assert 86300 < client.ttl("celery-task-meta-a") <= 86400
    messages = eventually(lambda: [m for m in [channel.get_message()] if m and m["type"] == "message"])
    assert messages[0]["data"] == meta("SUCCESS")
    channel.close()


@pytest.mark.parametrize(
    ("options", "state", "lifetime"),
    [
        ({"expires": None}, "SUCCESS", -1),
        ({"expires": 0}, "FAILURE", -1),
        ({"expires": 100, "failure_expires": 5000}, "FAILURE", 5000),
        ({"expires": 100, "failure_expires": 5000}, "SUCCESS", 100),
        ({"expires": 100, "failure_expires": 5000}, "RETRY", 100),
    ],
)
def test_each_state_has_its_own_lifetime(
    redis_url: str, client: redis.Redis, options: dict[str, Any], state: str, lifetime: int
) -> None:
    desk = Desk(redis_url, **options)
    desk.store("a", state)
    desk.until(lambda: desk.told)
    assert lifetime - 20 <= client.ttl("celery-task-meta-a") <= lifetime
    desk.close()


def test_a_key_prefix_is_kept(redis_url: str, client: redis.Redis) -> None:
    desk = Desk(redis_url, key_prefix="app")
    desk.store("a", "SUCCESS")
    desk.until(lambda: desk.told)
    assert client.exists("app_celery-task-meta-a")
    desk.close()


def test_a_stored_success_stays(desk: Desk, client: redis.Redis) -> None:
    client.set("celery-task-meta-a", meta("SUCCESS", result=1))
    desk.store("a", "FAILURE")
    desk.store("b", "FAILURE")
    desk.until(lambda: len(desk.told) == 2)
    assert stored(client, "a") == "SUCCESS"
    assert stored(client, "b") == "FAILURE"


def test_any_other_stored_state_is_replaced(desk: Desk, client: redis.Redis) -> None:
    client.set("celery-task-meta-a", meta("RETRY"))
    client.set("celery-task-meta-b", b"\xff no result")
    client.lpush("celery-task-meta-c", "no string")
    for task_id in "abc":
        desk.store(task_id, "FAILURE")
    desk.until(lambda: len(desk.told) == 3)
    assert [stored(client, task_id) for task_id in "abc"] == ["FAILURE"] * 3


def test_the_states_of_a_task_are_stored_in_their_order(desk: Desk, client: redis.Redis) -> None:
    expected = []
    for n in range(50):
        for state in ("STARTED", "PROGRESS", "SUCCESS", "RETRY"):
            desk.store(f"t{n}", state)
            expected.append(f"t{n} {state}")
    desk.until(lambda: desk.writer.pending == 0)
    assert {stored(client, f"t{n}") for n in range(50)} == {"SUCCESS"}
    assert sorted(desk.told) == sorted(expected)
    for n in range(50):
        assert [t for t in desk.told if t.startswith(f"t{n} ")] == expected[4 * n : 4 * n + 4]


def test_progress_told_in_a_loop_gives_way_to_what_is_newer(
    desk: Desk, client: redis.Redis, redis_server: RedisServer
) -> None:
    desk.store("a", "STARTED")
    redis_server.pause()
    try:
        for n in range(1000):
            desk.writer.store("a", "PROGRESS", meta("PROGRESS", n=n), None)
            desk.turn() if n % 100 == 0 else None
        assert desk.writer.pending == 2  # the one on its way, and the newest
        desk.store("a", "RETRY")
        desk.store("a", "SUCCESS")
        assert desk.writer.pending == 3
    finally:
        redis_server.resume()
    desk.until(lambda: desk.writer.pending == 0)
    assert desk.told == ["a STARTED", "a RETRY", "a SUCCESS"]
    assert stored(client, "a") == "SUCCESS"


def test_a_result_from_a_callback_is_stored_too(desk: Desk, client: redis.Redis) -> None:
    desk.writer.store("a", "SUCCESS", meta("SUCCESS"), lambda: desk.store("b", "SUCCESS"))
    desk.until(lambda: desk.told)
    assert stored(client, "b") == "SUCCESS"


def test_results_outlast_an_outage(desk: Desk, client: redis.Redis, redis_server: RedisServer) -> None:
    desk.store("before", "SUCCESS")
    desk.until(lambda: desk.told)
    redis_server.pause()
    for n in range(100):
        desk.store(f"on-the-way{n}", ("SUCCESS", "FAILURE")[n % 2])
    desk.turn()
    redis_server.kill()
    for n in range(100):
        desk.store(f"meanwhile{n}", ("SUCCESS", "FAILURE")[n % 2])
    desk.until(lambda: desk.writer._failures >= 2)  # type: ignore[attr-defined]
    assert desk.writer.pending == 200
    redis_server.start()
    desk.until(lambda: desk.writer.pending == 0)
    assert len(desk.told) == len(set(desk.told)) == 201
    assert client.dbsize() == 201


def test_a_frozen_server_does_not_hold_up_the_loop(
    desk: Desk, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CONNECT_TIMEOUT", 1.5)
    desk.store("before", "SUCCESS")
    desk.until(lambda: desk.told)
    redis_server.pause()
    try:
        desk.writer._link.lose("a loss")  # type: ignore[attr-defined]
        desk.store("meanwhile", "SUCCESS")
        turns: list[float] = []

        def failed_again() -> bool:
            turns.append(time.monotonic())
            return bool(desk.writer._failures >= 2)  # type: ignore[attr-defined]

        desk.until(failed_again)
        assert max(after - before for before, after in pairwise(turns)) < 1.0
    finally:
        redis_server.resume()
    desk.until(lambda: desk.writer.pending == 0)


def test_each_outage_is_told_also_when_no_result_came_in_between(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    link = lambda: desk.writer._link  # type: ignore[attr-defined]  # noqa: E731
    for _ in range(3):
        desk.until(lambda: link() is not None and link().up)
        link().lose("a loss")
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["Result backend lost: a loss; 0 results wait for it"] * 3


def test_an_attempt_that_held_up_the_loop_is_followed_by_a_long_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    def record(delay: float, *_: object) -> None:
        delays.append(delay)

    with monkeypatch.context() as patch:
        patch.setattr(desk.hub, "call_later", record)
        desk.writer._lost("a slow handshake", held_up=2.0)  # type: ignore[attr-defined]
    assert delays == [20.0]


def test_a_server_that_refuses_writes_is_tried_again(
    desk: Desk, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        desk.store("a", "SUCCESS")
        desk.until(lambda: desk.writer._failures >= 3)  # type: ignore[attr-defined]
        assert desk.writer.pending == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"]
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    desk.until(lambda: desk.told)
    assert stored(client, "a") == "SUCCESS"
    assert desk.writer.pending == 0


def test_a_writer_may_be_opened_while_the_server_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LONGEST_DELAY", 0.1)
    server = RedisServer(tmp_path / "redis")
    desk = Desk(server.url)
    desk.store("a", "SUCCESS")
    desk.until(lambda: desk.writer._failures >= 2)  # type: ignore[attr-defined]
    server.start()
    desk.until(lambda: desk.told)
    with server.client() as client:
        assert stored(client, "a") == "SUCCESS"
    desk.close()
    server.stop()


def test_closing_sends_what_is_left(desk: Desk, client: redis.Redis) -> None:
    desk.store("first", "SUCCESS")
    desk.until(lambda: desk.told)
    desk.store("last", "SUCCESS")
    desk.writer.close()
    eventually(lambda: stored(client, "last") == "SUCCESS")
    desk.turn()
    assert desk.told == ["first SUCCESS"]


@pytest.mark.parametrize("url", [None, "", "disabled", "disabled://"])
def test_without_a_backend_every_result_is_done_at_once(url: str | None) -> None:
    hub, told = Hub(), []
    writer = open_writer(url, hub)
    assert isinstance(writer, NullWriter)
    writer.store("a", "SUCCESS", b"", lambda: told.append(1))
    writer.close()
    assert told == [1]
    assert writer.pending == 0
    hub.dispose()


def test_a_backend_of_another_kind_is_an_error_of_the_settings() -> None:
    hub = Hub()
    with pytest.raises(ConfigError):
        open_writer("mongodb://h", hub)
    hub.dispose()


def test_embedded_is_the_embedded_brokers_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKERD_STATE_DIR", str(tmp_path))
    hub = Hub()
    writer = open_writer("embedded", hub)
    assert isinstance(writer, RedisResultWriter)
    assert str(tmp_path) in writer._address.path
    writer.close()
    hub.dispose()
