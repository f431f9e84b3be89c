"""Our client when a server is away, hangs, comes back, or was never there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import pools

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.eventually import eventually
from tests.support.ports import free_port
from workerd import App
from workerd.errors import ConfigError, UnavailableError
from workerd.exceptions import TimeoutError as WorkerdTimeoutError


@pytest.fixture
def app(redis_url: str) -> Iterator[App]:
    with App("proj", broker=redis_url, backend=redis_url) as app:
        yield app


def success(task_id: str, result: Any) -> dict[str, Any]:
    return {"status": "SUCCESS", "result": result, "traceback": None, "children": [], "task_id": task_id}


def store(app: App, task_id: str, state: str, result: Any) -> None:
    app.backend.store(task_id, state, app.backend.encode(success(task_id, result) | {"status": state}))


class Waiting:
    """A thread that waits for a result."""

    def __init__(self, app: App, task_id: str, timeout: float | None = 60.0) -> None:
        self.got: list[Any] = []
        self._thread = threading.Thread(target=self._wait, args=(app, task_id, timeout))
        self._thread.start()

    def _wait(self, app: App, task_id: str, timeout: float | None) -> None:
        try:
            self.got.append(app.AsyncResult(task_id).get(timeout))
        except Exception as exc:  # noqa: BLE001 (the test looks at it)
            self.got.append(exc)

    def end(self) -> Any:
        self._thread.join(60)
        assert self.got, "the wait has not ended"
        return self.got[0]


def subscribed(server: RedisServer, app: App, task_id: str) -> bool:
    with server.client() as client:
        return bool(dict(client.pubsub_numsub(f"celery-task-meta-{task_id}")).popitem()[1])


def test_who_waits_is_woken_by_the_publication(app: App, redis_server: RedisServer) -> None:
    waiting = Waiting(app, "w", timeout=None)
    eventually(lambda: subscribed(redis_server, app, "w"))
    store(app, "w", "PROGRESS", {"done": 1})
    store(app, "w", "SUCCESS", 5)
    assert waiting.end() == 5
    eventually(lambda: not subscribed(redis_server, app, "w"))


def test_a_result_that_is_there_already_is_returned_with_no_time_left(app: App) -> None:
    store(app, "there", "SUCCESS", 7)
    assert app.AsyncResult("there").get(timeout=0) == 7


def test_no_result_in_time_is_a_timeout_of_both_kinds(app: App) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"task x has not ended within 0\.3 s") as caught:
        app.AsyncResult("x").get(timeout=0.3)
    assert isinstance(caught.value, WorkerdTimeoutError)
    assert time.monotonic() - began >= 0.3


def test_who_waits_survives_a_restart_of_the_server(app: App, redis_server: RedisServer) -> None:
    waiting = Waiting(app, "r")
    eventually(lambda: subscribed(redis_server, app, "r"))
    redis_server.restart()
    eventually(lambda: subscribed(redis_server, app, "r"))
    store(app, "r", "SUCCESS", "after")
    assert waiting.end() == "after"


def test_what_was_stored_while_the_link_was_away_is_found(app: App, redis_server: RedisServer) -> None:
    waiting = Waiting(app, "m")
    eventually(lambda: subscribed(redis_server, app, "m"))
    with redis_server.client() as client:
        # Stored without a publication, as if it had been published while nobody listened.
        client.set("celery-task-meta-m", app.backend.encode(success("m", "found")))
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert waiting.end() == "found"


def test_a_stored_success_is_never_overwritten(app: App) -> None:
    store(app, "s", "SUCCESS", 1)
    store(app, "s", "FAILURE", 2)
    store(app, "s", "STARTED", 3)
    assert app.AsyncResult("s").get(timeout=5) == 1


def test_results_live_as_long_as_the_settings_say(redis_url: str, redis_server: RedisServer) -> None:
    settings: dict[str, Any] = {"result_expires": None, "result_failure_expires": 60}
    with App(broker=redis_url, backend=redis_url, **settings) as app, redis_server.client() as client:
        store(app, "ever", "SUCCESS", 1)
        store(app, "short", "FAILURE", None)
        assert client.ttl("celery-task-meta-ever") == -1
        assert 50 < client.ttl("celery-task-meta-short") <= 60


def test_a_pool_of_producers_survives_a_restart_of_the_server(app: App, redis_server: RedisServer) -> None:
    app.send_task("t")
    redis_server.restart()
    app.send_task("t")
    with redis_server.client() as client:
        assert client.llen("celery") == 2


def test_a_fork_publishes_over_a_connection_of_its_own(app: App, redis_server: RedisServer) -> None:
    app.send_task("parent")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            app.send_task("child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    app.send_task("parent")
    with redis_server.client() as client:
        assert client.llen("celery") == 3


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_not_there_is_one_clear_line(scheme: str) -> None:
    url = f"{scheme}://user:secret@127.0.0.1:{free_port()}//"
    with App(broker=url) as app, pytest.raises(UnavailableError) as caught:
        app.send_task("t")
    line = str(caught.value)
    assert f"{scheme}://user:**@127.0.0.1" in line
    assert "secret" not in line
    assert "cannot be reached" in line
    assert "\n" not in line


def test_a_backend_that_is_not_there_is_one_clear_line() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/1"
    with App(broker="memory://", backend=url) as app:
        for ask in (lambda: app.AsyncResult("x").state, lambda: app.AsyncResult("x").get(timeout=30)):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert "redis://:**@127.0.0.1" in str(caught.value)


def test_an_embedded_broker_that_does_not_run_says_how_to_start_it(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERD_STATE_DIR", str(short_dir))
    with App("proj") as app:
        for ask in (lambda: app.send_task("t"), lambda: app.AsyncResult("x").get(timeout=30)):
            with pytest.raises(UnavailableError, match="workerd -A APP start"):
                ask()


def test_a_wrong_password_is_told_without_the_password(redis_server: RedisServer, redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis://nobody:secret@")
    with App(broker=url, backend=url) as app:
        for ask in (lambda: app.send_task("t"), lambda: app.AsyncResult("x").state):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert "secret" not in str(caught.value)


def test_a_rabbitmq_that_restarts_between_two_calls_gets_both(
    rabbit_url: str, rabbit_server: RabbitServer
) -> None:
    queue = f"restart-{os.getpid()}"
    with App(broker=rabbit_url) as app:
        app.send_task("t", queue=queue)
        rabbit_server.drop_clients()
        pools.reset()  # where kombu keeps connections of Celery's clients for those of later tests
        app.send_task("t", queue=queue)
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            assert eventually(lambda: channel.queue_declare(queue, passive=True).message_count == 2)
            channel.queue_delete(queue)


class SocketServer(RedisServer):
    """A Redis server behind a unix socket, as the embedded broker is."""

    @property
    def url(self) -> str:
        return f"redis+socket://{self.home}/s"

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=f"{self.home}/s", socket_timeout=5.0)

    def _launch(self) -> None:
        argv = ["redis-server", "--port", "0", "--unixsocket", f"{self.home}/s"]
        self._process = self._run([*argv, "--dir", str(self.home), "--save", "", "--appendonly", "yes"])


@pytest.mark.parametrize("several", [False, True], ids=["one URL", "two URLs"])
def test_a_client_finds_its_way_back_to_a_server_behind_a_socket(short_dir: Path, several: bool) -> None:
    server = SocketServer(short_dir)
    server.start()
    broker = [server.url, f"redis+socket://{short_dir}/nowhere"] if several else server.url
    again = threading.Timer(1.0, server.start)
    try:
        with App("proj", broker=broker) as app, server.client() as client:
            app.send_task("t")
            server.stop()
            with pytest.raises(UnavailableError):
                app.send_task("t", retry=False)
            again.start()
            app.send_task("t", retry_policy={"max_retries": 100, "interval_max": 0.2})
            again.join()
            app.send_task("t")
            assert client.llen("celery") == 3
    finally:
        again.cancel()
        server.stop()


def test_a_refusal_of_redis_is_one_clear_line(redis_url: str, redis_server: RedisServer) -> None:
    with App("proj", broker=redis_url) as app, redis_server.client() as client:
        client.set("celery", "no list")
        with pytest.raises(ConfigError, match=r"refuses: .*WRONGTYPE"):
            app.send_task("t", retry=False)
        client.delete("celery")
        app.send_task("t")
