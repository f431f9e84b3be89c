"""Every fault of the link, on both brokers: noticed, told in words, and mended without an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.proxy import Proxy, Way
from tests.system.conftest import Start
from workerd import App
from workerd.exceptions import BackendStoreError

Make = Callable[..., Workerd]


@pytest.fixture
def both(
    redis_url: str, fresh_rabbit_url: str, redis_server: RedisServer, rabbit_server: RabbitServer
) -> tuple[RedisServer, RabbitServer]:
    """Both brokers at once, for what takes half a minute on each."""
    return redis_server, rabbit_server


@pytest.fixture
def client(server: Any, redis_url: str) -> Iterator[App]:
    """Sends past the proxy."""
    with App("client", broker=server.url, backend=redis_url) as app:
        yield app


def await_restarts(daemon: Workerd, number: int) -> None:
    eventually(lambda: daemon.status()["link"]["restarts"] == number, within=60)


def test_a_link_that_is_ended_or_reset_is_made_again_and_leaves_nothing(
    start: Start, proxy: Proxy, client: App, server: Any, redis_url: str
) -> None:
    daemon = start(broker=proxy.url(server.url), backend=redis_url)
    gate = daemon.home / "gate"
    running = client.send_task("ledger.hold", (0, str(gate)))
    eventually(lambda: daemon.ran("start")[0] == 1)
    descriptors = psutil.Process(daemon.pid).num_fds()
    faults = [proxy.cut, proxy.reset] * 2
    for number, fault in enumerate(faults, start=1):
        fault()
        await_restarts(daemon, number)
        assert client.send_task("ledger.run", (number,)).get(timeout=60) == number
    gate.touch()
    assert running.get(timeout=60) == 0
    # Who has just asked for the status may still be there, then as now.
    eventually(lambda: psutil.Process(daemon.pid).num_fds() <= descriptors)
    assert daemon.text().count("Connection to the broker lost") == len(faults)
    assert daemon.stop() == 0  # while the proxy is there
    assert not daemon.logged("Traceback|ERROR")
    assert daemon.ran("start") == dict.fromkeys(range(len(faults) + 1), 1)


def test_a_broker_that_refuses_connections_is_told_and_waited_for(
    start: Start, proxy: Proxy, client: App, server: Any, redis_url: str
) -> None:
    daemon = start(broker=proxy.url(server.url), backend=redis_url)
    proxy.refuse()
    proxy.reset()
    shown = eventually(lambda: "refused" in (text := daemon.degraded()) and text)
    assert "no link to the broker, trying again: " in shown
    assert f"127.0.0.1:{proxy.port}" in shown
    proxy.resume()
    assert client.send_task("ledger.run", (1,)).get(timeout=60) == 1
    assert daemon.degraded() == ""
    assert daemon.stop() == 0


def test_a_link_that_is_silent_is_given_up(
    start: Start,
    redis_url: str,
    redis_server: RedisServer,
    fresh_rabbit_url: str,
    rabbit_server: RabbitServer,
) -> None:
    told = {redis_server: "no answer for 28 s", rabbit_server: "heartbeats missed"}
    with ExitStack() as stack:
        proxies = {server: stack.enter_context(Proxy(server.port)) for server in told}
        daemons = {}
        for name, (server, proxy) in zip("ab", proxies.items(), strict=True):
            url = proxy.url(server.url)
            daemons[server] = start(broker=url, backend=redis_url, home=name, name=name, words=("-Q", name))
        for proxy in proxies.values():
            proxy.freeze()
        for server, words in told.items():
            lost = f"Connection to the broker lost: .*{words}"
            # Both wait at the same time; what is more than 30 s is for a machine that is busy.
            eventually(partial(daemons[server].logged, lost), within=60, every=0.5)
            assert "no link to the broker" in daemons[server].degraded()
        for proxy in proxies.values():
            proxy.resume()
        for daemon in daemons.values():
            await_restarts(daemon, 1)
            assert daemon.stop() == 0


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_host_that_nobody_knows_is_told_once_and_tried_again(make: Make, scheme: str) -> None:
    daemon = make(broker=f"{scheme}://nowhere.invalid//")
    daemon.start(ready=False)
    shown = eventually(daemon.degraded)
    assert f"{scheme}://nowhere.invalid" in shown
    assert "not known" in shown
    assert daemon.stop() == 0
    assert daemon.text().count("not known") == 1


def test_a_password_that_rabbitmq_refuses_is_told_and_tried_again(
    make: Make, fresh_rabbit_url: str, rabbit_server: RabbitServer
) -> None:
    daemon = make(broker=fresh_rabbit_url.replace("guest:guest@", "ann:another@"))
    daemon.start(ready=False)
    shown = eventually(daemon.degraded)
    assert "does not know this user with this password (ACCESS_REFUSED" in shown
    assert daemon.status()["link"]["state"] != "up"
    rights = ", ".join(['<<"^celery$">>'] * 3)
    rabbit_server.ctl(
        "eval",
        'rabbit_auth_backend_internal:add_user(<<"ann">>, <<"another">>, <<"test">>),'
        f'rabbit_auth_backend_internal:set_permissions(<<"ann">>, <<"/">>, {rights}, <<"test">>).',
    )
    daemon.wait_ready()
    assert daemon.degraded() == ""
    assert "another" not in daemon.text() + shown
    # Who may use the task queue and nothing else has tasks, and no part in the cluster.
    eventually(lambda: daemon.logged("RabbitMQ: cannot listen at main@.*pidbox: .*ACCESS_REFUSED"))
    assert daemon.logged("RabbitMQ: nothing is told through exchange celeryev: .*ACCESS_REFUSED")
    assert daemon.status()["link"]["restarts"] == 0
    assert daemon.stop() == 0


def test_a_queue_that_rabbitmq_refuses_is_told_and_ends_no_daemon(make: Make, fresh_rabbit_url: str) -> None:
    daemon = make(broker=fresh_rabbit_url)
    daemon.start("-Q", "amq.mine", ready=False)  # RabbitMQ keeps such names for itself
    shown = eventually(daemon.degraded)
    assert "does not permit this user all that is needed (ACCESS_REFUSED" in shown
    assert "amq.mine" in shown
    assert daemon.stop() == 0


def test_the_next_broker_of_the_list_takes_over_and_is_kept(
    start: Start, proxy: Proxy, client: App, server: Any, redis_url: str
) -> None:
    with Proxy(server.port) as second:
        urls = [one.url(server.url) for one in (proxy, second)]
        daemon = start(broker=";".join(urls), backend=redis_url)
        gate = daemon.home / "gate"
        running = client.send_task("ledger.hold", (0, str(gate)))
        eventually(lambda: daemon.ran("start")[0] == 1)
        place = lambda: f"127.0.0.1:{proxy.port}" in daemon.status()["link"]["broker"]  # noqa: E731
        assert place()

        proxy.refuse()
        proxy.reset()
        assert client.send_task("ledger.run", (1,)).get(timeout=60) == 1
        assert not place()
        assert f" (up at {daemon.status()['link']['broker']} for" in daemon.run("status").stdout

        proxy.resume()
        second.cut()  # the one that served is tried first
        await_restarts(daemon, 2)
        assert not place()

        second.refuse()
        second.reset()
        assert client.send_task("ledger.run", (2,)).get(timeout=60) == 2
        assert place()
        gate.touch()
        assert running.get(timeout=60) == 0
        assert daemon.stop() == 0
    assert daemon.ran("start") == {0: 1, 1: 1, 2: 1}


def test_a_start_goes_through_the_list(make: Make, proxy: Proxy, server: Any) -> None:
    proxy.refuse()
    daemon = make(broker=f"{proxy.url(server.url)};{server.url}")
    daemon.start()
    assert f"127.0.0.1:{server.port}" in daemon.status()["link"]["broker"]
    assert daemon.logged(rf"No link to the broker: .*:{proxy.port}.*refused; trying .*:{server.port}")
    assert daemon.stop() == 0


def test_a_result_that_redis_never_takes_ends_as_a_failure_that_says_so(
    start: Start, tmp_path: Path, server: Any
) -> None:
    backend = RedisServer(tmp_path / "backend")
    backend.options = ["--proto-max-bulk-len", "1mb"]
    backend.start()
    try:
        daemon = start(broker=server.url, backend=backend.url)
        with daemon.client() as app:
            large = app.send_task("ledger.add", ("x" * 3_000_000, "y"))
            with pytest.raises(BackendStoreError, match=r"with SUCCESS, but its result of 3000\d+ bytes"):
                large.get(timeout=60)
            assert app.send_task("ledger.add", (1, 2)).get(timeout=60) == 3
        eventually(lambda: daemon.status()["tasks"]["settling"] == 0)
        assert daemon.stop() == 0
    finally:
        backend.stop()


def test_results_wait_for_a_backend_that_is_away_and_status_says_so(
    start: Start, server: Any, redis_url: str, redis_server: RedisServer
) -> None:
    with Proxy(redis_server.port) as between:
        daemon = start(broker=server.url, backend=between.url(redis_url))
        with App("client", broker=server.url, backend=redis_url) as app:
            between.refuse()
            between.reset()
            sent = [app.send_task("ledger.run", (number,)) for number in range(3)]
            words = "3 results not taken by the result backend, trying again: cannot connect to redis://"
            eventually(lambda: words in daemon.degraded())  # first it says that the link was reset
            assert daemon.status()["link"]["restarts"] == 0
            between.resume()
            assert [one.get(timeout=60) for one in sent] == [0, 1, 2]
        eventually(lambda: not daemon.degraded())
        eventually(lambda: daemon.status()["results"] == {"pending": 0, "problem": ""})
        assert daemon.stop() == 0
    assert daemon.ran("start") == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_settlement_that_a_cut_has_swallowed_makes_nothing_run_again(
    start: Start, proxy: Proxy, client: App, server: Any, redis_url: str, way: Way
) -> None:
    """``up``: the broker never hears of it.  ``down``: it does, and its answer is lost."""
    daemon = start(broker=proxy.url(server.url), backend=redis_url)
    gate = daemon.home / "gate"
    sent = client.send_task("ledger.hold", (0, str(gate)))
    eventually(lambda: daemon.ran("start")[0] == 1)
    proxy.freeze(way)
    gate.touch()
    assert sent.get(timeout=60) == 0
    eventually(lambda: daemon.status()["tasks"]["succeeded"] == 1)
    proxy.cut()
    proxy.resume()
    await_restarts(daemon, 1)
    assert client.send_task("ledger.run", (1,)).get(timeout=60) == 1
    eventually(lambda: daemon.status()["tasks"]["settling"] == 0)
    assert daemon.stop() == 0
    assert daemon.ran("start") == {0: 1, 1: 1}
