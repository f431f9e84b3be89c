"""The blocking backend of clients against servers that accept and do not answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.brokers import RedisServer
from workerd.backends.base import BackendOptions
from workerd.backends.redis import RedisBackend
from workerd.errors import UnavailableError
from workerd.protocol.exceptions import TimeoutError as TaskTimeoutError


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port at which connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


def backend(url: str, **options: float) -> RedisBackend:
    return RedisBackend(url, BackendOptions(**options))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_waiting_for_a_result_ends_in_time_where_nobody_answers(mute_port: int, scheme: str) -> None:
    results = backend(f"{scheme}://127.0.0.1:{mute_port}/0")
    began = time.monotonic()

    with pytest.raises(UnavailableError, match="cannot be reached"):
        results.wait_for("a", timeout=0.5)

    assert time.monotonic() - began < 4.0  # the socket timeout is 120 s, that of a connection 5 s
    results.close()


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_greeting_has_the_time_of_a_connection(mute_port: int, scheme: str) -> None:
    results = backend(f"{scheme}://127.0.0.1:{mute_port}/0", connect_timeout=0.2)
    began = time.monotonic()

    with pytest.raises(UnavailableError, match="cannot be reached"):
        results.get_meta("a")

    assert time.monotonic() - began < 10.0
    results.close()


def test_a_server_that_freezes_between_two_results_is_told_in_time(
    redis_server: RedisServer, redis_url: str
) -> None:
    results = backend(redis_url)
    results.store("a", "SUCCESS", results.encode({"status": "SUCCESS", "result": 1}))
    assert results.wait_for("a", timeout=20.0)["result"] == 1
    redis_server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            results.wait_for("b", timeout=0.5)
        assert time.monotonic() - began < 4.0
    finally:
        redis_server.resume()
    results.close()


def test_a_result_that_does_not_come_is_a_timeout_and_one_that_comes_late_is_not(redis_url: str) -> None:
    results = backend(redis_url)
    with pytest.raises(TaskTimeoutError, match=r"within 0.2 s"):
        results.wait_for("a", timeout=0.2)
    late = threading.Timer(
        0.3, results.store, ("a", "SUCCESS", results.encode({"status": "SUCCESS", "result": 1}))
    )
    late.start()
    assert results.wait_for("a", timeout=20.0)["result"] == 1
    late.join()
    results.close()


@pytest.mark.parametrize("timeout", [0, -1.0, 1e-9])
def test_a_look_without_time_to_wait_finds_what_is_there(redis_url: str, timeout: float) -> None:
    results = backend(redis_url)
    with pytest.raises(TaskTimeoutError):
        results.wait_for("a", timeout)
    results.store("a", "SUCCESS", results.encode({"status": "SUCCESS", "result": 1}))
    for _ in range(20):
        results.close()  # what costs the most time of all is a new connection
        assert results.wait_for("a", timeout)["result"] == 1
    results.close()


def test_many_results_are_told_in_one_subscription_and_nobody_asks_twice(
    redis_server: RedisServer, redis_url: str
) -> None:
    results = backend(redis_url)
    names = [f"id-{number}" for number in range(1200)]

    def store(some: list[str]) -> None:
        for name in some:
            results.store(name, "SUCCESS", results.encode({"status": "SUCCESS", "result": name}))

    store(names[:300])
    later = threading.Timer(0.5, store, (names[300:],))
    with redis_server.client() as client:
        client.config_resetstat()
        later.start()
        ended = [(task_id, meta["result"]) for task_id, meta in results.wait_for_many(names, timeout=30.0)]
        stats = client.info("commandstats")
    later.join()
    assert sorted(ended) == sorted(zip(names, names, strict=True))
    # Three chunks at first, what is missing in two or three more behind its subscription; stores are ours.
    assert stats["cmdstat_mget"]["calls"] <= 7
    assert stats["cmdstat_subscribe"]["calls"] <= 3
    results.close()


def test_of_many_results_those_that_do_not_come_are_counted(redis_url: str) -> None:
    results = backend(redis_url)
    results.store("a", "SUCCESS", results.encode({"status": "SUCCESS", "result": 1}))
    seen = results.wait_for_many(["a", "b", "c"], timeout=0.3)
    assert next(seen)[0] == "a"
    with pytest.raises(TaskTimeoutError, match=r"2 tasks, b among them, have not ended within 0.3 s"):
        next(seen)
    results.close()


def test_many_are_waited_for_through_a_lost_connection(redis_server: RedisServer, redis_url: str) -> None:
    results = backend(redis_url)
    names = [f"id-{number}" for number in range(50)]
    with redis_server.client() as client:

        def cut_and_store() -> None:
            client.client_kill_filter(_type="pubsub")
            for name in names:
                data = results.encode({"status": "SUCCESS", "result": name})
                client.set(f"celery-task-meta-{name}", data)  # told to nobody

        later = threading.Timer(0.3, cut_and_store)
        later.start()
        ended = dict(results.wait_for_many(names, timeout=20.0))
        later.join()
    assert set(ended) == set(names)
    results.close()
