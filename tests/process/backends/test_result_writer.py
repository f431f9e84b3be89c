"""The supervisor's result writer against a real server: what it stores, for how long, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from tests.process.backends.desk import Desk, meta, stored
from tests.support.eventually import eventually
from workerd.backends.redis_writer import RedisResultWriter
from workerd.backends.writer import NullWriter, open_writer
from workerd.errors import ConfigError
from workerd.worker.loop.hub import Hub


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


def test_a_result_from_a_callback_is_stored_too(desk: Desk, client: redis.Redis) -> None:
    desk.writer.store("a", "SUCCESS", meta("SUCCESS"), lambda: desk.store("b", "SUCCESS"))
    desk.until(lambda: desk.told)
    assert stored(client, "b") == "SUCCESS"


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
