"""Results as messages: the supervisor's writers and a caller's inbox, over real brokers and their outages."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.process.backends.desk import meta
from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from workerd import App
from workerd.backends.base import BackendOptions
from workerd.backends.rpc.amqp_writer import AmqpReplyWriter
from workerd.backends.rpc.client import RpcBackend
from workerd.backends.rpc.redis_writer import RedisReplyWriter
from workerd.backends.writer import ResultWriter
from workerd.errors import ConfigError
from workerd.protocol import exceptions
from workerd.source.amqp.publisher import Publisher
from workerd.source.redis.keys import Keys
from workerd.transport.address import address_of_url
from workerd.worker.loop.hub import Hub

Turns = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def url(request: pytest.FixtureRequest) -> str:
    kind = "redis_server" if request.param == "redis" else "rabbit_server"
    return str(request.getfixturevalue(kind).url)


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(int(url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.dispose()


@pytest.fixture
def writer(url: str, proxy: Proxy, hub: Hub) -> Iterator[ResultWriter]:
    """Over the proxy."""
    app = App("w", broker=proxy.url(url))
    options, writer = BackendOptions(), None  # type: BackendOptions, Any
    if url.startswith("redis"):
        writer = RedisReplyWriter(lambda: address_of_url(proxy.url(url)), Keys(), hub, options)
    else:
        writer = AmqpReplyWriter(
            Publisher(app.connection_for_write(), hub, hub.call_soon, "Results"), hub, options
        )
    yield writer
    writer.close()
    writer.close()


@pytest.fixture
def until(hub: Hub) -> Turns:
    def turn() -> bool:
        timer = hub.call_later(0.01, lambda: None)
        hub.turn()
        timer.cancel()
        return True

    return lambda fact: eventually(lambda: turn() and fact(), every=0.0)


@pytest.fixture
def caller(url: str) -> Iterator[RpcBackend]:
    """Not over the proxy."""
    app = App("c", broker=url, backend="rpc://")
    assert isinstance(app.backend, RpcBackend)
    yield app.backend
    app.close()


def test_every_state_comes_in_its_order_and_what_nobody_waits_for_is_done(
    writer: ResultWriter, caller: RpcBackend, until: Turns
) -> None:
    queue, told = caller.reply_to(), []  # type: str, list[str]
    writer.store("nobody", "SUCCESS", meta("SUCCESS"), lambda: told.append("nobody"), None)
    assert told == ["nobody"]
    for state in ("STARTED", "PROGRESS", "PROGRESS", "SUCCESS"):
        then = (lambda: told.append("a")) if state == "SUCCESS" else None
        writer.store("a", state, meta(state), then, queue)
    until(lambda: len(told) == 2)
    assert writer.pending == 0
    assert caller.wait_for("a", timeout=20)["status"] == "SUCCESS"
    caller.store("b", "STARTED", meta("STARTED"))
    caller.store("b", "SUCCESS", meta("SUCCESS"))
    caller.store("b", "STARTED", meta("STARTED"))  # one that was sent twice
    assert caller.get_meta("b")["status"] == "SUCCESS"
    caller.forget("b")
    assert caller.get_meta("b")["status"] == "PENDING"


def test_results_outlive_a_broker_that_is_away(
    writer: ResultWriter, caller: RpcBackend, until: Turns, proxy: Proxy
) -> None:
    queue, told = caller.reply_to(), []  # type: str, list[int]
    for number in range(20):
        if number == 10:
            until(lambda: len(told) == 10)
            proxy.refuse()
            proxy.cut()
        writer.store(
            str(number), "SUCCESS", meta("SUCCESS", n=number), lambda n=number: told.append(n), queue
        )
    until(lambda: writer.problem)
    assert writer.pending == 10
    proxy.resume()
    until(lambda: len(told) == 20)
    ended = dict(caller.wait_for_many(map(str, range(20)), timeout=20))
    assert {int(task_id) for task_id in ended} == set(range(20)) == {m["n"] for m in ended.values()}
    assert (writer.pending, writer.problem) == (0, "")


def test_two_threads_wait_and_each_hears_of_its_own(
    writer: ResultWriter, caller: RpcBackend, until: Turns
) -> None:
    queue, heard = caller.reply_to(), {}  # type: str, dict[str, Any]
    threads = [
        threading.Thread(target=lambda name=name: heard.update({name: caller.wait_for(name, timeout=20)}))
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for name in "ba":
        writer.store(name, "SUCCESS", meta("SUCCESS", of=name), None, queue)
    until(lambda: len(heard) == 2)
    for thread in threads:
        thread.join()
    assert {name: m["of"] for name, m in heard.items()} == {"a": "a", "b": "b"}


def test_a_caller_whose_connection_is_lost_misses_nothing(
    writer: ResultWriter, until: Turns, url: str, proxy: Proxy
) -> None:
    with App("c", broker=proxy.url(url), backend="rpc://") as app:
        assert isinstance(app.backend, RpcBackend)
        queue, told = app.backend.reply_to(), []  # type: str, list[int]
        with pytest.raises(exceptions.TimeoutError, match=r"within 0.05 s"):
            app.backend.wait_for("a", timeout=0.05)
        proxy.cut()
        writer.store("a", "SUCCESS", meta("SUCCESS"), lambda: told.append(1), queue)
        until(lambda: told)
        assert app.backend.wait_for("a", timeout=30)["status"] == "SUCCESS"


def test_who_has_sent_nothing_hears_at_once_that_nothing_will_come(url: str) -> None:
    with App("c", broker=url, backend="rpc://") as app:
        assert app.AsyncResult("a").state == "PENDING"
        with pytest.raises(ConfigError, match="does not come to this process"):
            app.AsyncResult("a").get(timeout=10)


def test_a_forked_process_has_a_queue_of_its_own(caller: RpcBackend) -> None:
    mine = caller.reply_to()
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(write, caller.reply_to().encode())
        caller.close()
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read, "rb") as out:
        assert out.read().decode() not in ("", mine)
    assert caller.reply_to() == mine
    assert caller.get_meta("a")["status"] == "PENDING"  # over a connection that the other has left alone


def test_a_list_of_replies_ends_when_results_do(redis_server: RedisServer, until: Turns, hub: Hub) -> None:
    writer = RedisReplyWriter(
        lambda: address_of_url(redis_server.url), Keys(), hub, BackendOptions(expires=60.0)
    )
    told: list[int] = []
    writer.store("a", "SUCCESS", meta("SUCCESS"), lambda: told.append(1), "gone")
    until(lambda: told)
    writer.close()
    with redis_server.client() as client:
        assert 0 < client.ttl("gone") <= 60
        entry = json.loads(client.rpop("gone"))
    assert (entry["properties"]["correlation_id"], entry["properties"]["delivery_mode"]) == ("a", 1)


@pytest.mark.long
@pytest.mark.parametrize("url", ["rabbitmq"], indirect=True)
def test_a_result_that_the_broker_finds_too_large_ends_as_a_failure_that_says_so(
    writer: ResultWriter, caller: RpcBackend, until: Turns
) -> None:
    queue, told = caller.reply_to(), []  # type: str, list[str]
    writer.store("a", "SUCCESS", meta("SUCCESS", x="x" * 135_000_000), lambda: told.append("a"), queue)
    writer.store("b", "SUCCESS", meta("SUCCESS"), lambda: told.append("b"), queue)
    until(lambda: len(told) == 2)
    ended = dict(caller.wait_for_many(("a", "b"), timeout=20))
    assert (ended["a"]["status"], ended["b"]["status"]) == ("FAILURE", "SUCCESS")
    assert "larger than" in ended["a"]["result"]["exc_message"][0]
