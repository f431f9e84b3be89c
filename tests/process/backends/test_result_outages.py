"""The result writer while its server is away, hangs or refuses: nothing is lost, nothing held up."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from tests.process.backends.desk import Desk, meta, stored
from tests.support.brokers import RedisServer
from workerd.backends import redis_writer as writer_module


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
