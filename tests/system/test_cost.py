"""What a message costs the supervisor, counted and not timed: calls of Python functions, and system calls;
and what a daemon without work costs its broker.

The daemon is a real one with all that is on by default.  A budget is about a seventh above what was counted
when it was set.  Where a change makes messages cheaper, lower it, so that the next one cannot undo that.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tests.support.apps.counted import AFTER, WARM, WINDOW
from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from tests.system.conftest import Start
from workerd import App

KERNEL = ("'_socket.socket'", "'select.epoll'", "posix.", "'_io.FileIO'")
"""Built-in functions of these make one system call for each call; strace counts the same."""

NO_KERNEL = ("'fileno'", "'gettimeout'", "'settimeout'", "posix.fspath")


def is_python(name: str) -> bool:
    return not name.startswith("<")


def is_system_call(name: str) -> bool:
    return (
        name.startswith("<")
        and any(map(name.__contains__, KERNEL))
        and not any(map(name.__contains__, NO_KERNEL))
    )


@pytest.mark.parametrize(
    ("url", "backend", "events", "calls", "system_calls"),
    [
        pytest.param("redis_url", "", False, 80, 3.5, id="redis"),
        pytest.param("redis_url", "redis_url", False, 107, 3.5, id="redis-results"),
        pytest.param("redis_url", "", True, 92, 3.5, id="redis-events"),
        pytest.param("fresh_rabbit_url", "", False, 109, 3.5, id="rabbitmq"),
        pytest.param("fresh_rabbit_url", "", True, 121, 3.5, id="rabbitmq-events"),
    ],
)
def test_a_message_costs_the_supervisor_no_more_than_its_budget(
    start: Start,
    short_dir: Path,
    request: pytest.FixtureRequest,
    url: str,
    backend: str,
    events: bool,
    calls: int,
    system_calls: float,
) -> None:
    broker = request.getfixturevalue(url)
    found = short_dir / "counted"
    with App("client", broker=broker) as app:
        options = {"ignore_result": not backend}
        numbers = range(WARM + WINDOW + AFTER)
        app.send_many(("counted.noop", (number,), None, options) for number in numbers)
    backend = request.getfixturevalue(backend) if backend else ""
    start(
        app="tests.support.apps.counted",
        broker=broker,
        backend=backend or None,
        env={"COUNTED": str(found), "WORKERD_CLUSTER__EVENTS": str(events).lower()},
    )
    eventually(found.exists, within=60)

    counted = json.loads(found.read_text())
    each = {name: count / counted["messages"] for name, count in counted["calls"].items()}
    python = sum(count for name, count in each.items() if is_python(name))
    system = sum(count for name, count in each.items() if is_system_call(name))
    most = sorted(each.items(), key=lambda item: -item[1])
    print("a message:", f"{python:.0f} Python calls, {system:.2f} system calls")
    print(*(f"{count:8.2f} {name}" for name, count in most if is_python(name)), sep="\n")
    print(*(f"{count:8.2f} {name}" for name, count in most if is_system_call(name)), sep="\n")
    assert python <= calls
    assert system <= system_calls


def test_an_idle_daemon_asks_redis_no_more_than_twice_a_second(
    start: Start, redis_server: RedisServer, redis_url: str
) -> None:
    # To greet other nodes it asks more, for the first seconds.
    start(broker=redis_url, backend=redis_url, env={"WORKERD_CLUSTER__MINGLE": "false"})
    with redis_server.client() as client:
        asked = count()

        def reads() -> int:
            """Of all clients but this one, since the server was started."""
            return int(client.info("stats")["total_reads_processed"]) - next(asked)

        def looks() -> int:
            next(asked)
            return int(client.info("commandstats").get("cmdstat_exists", {}).get("calls", 0))

        def looked(times: int) -> None:
            eventually(lambda: looks() >= times, within=60)

        looked(looks() + 1)
        seconds = 7  # of which each has a look, at most
        before, first = reads(), looks()
        looked(first + seconds)
        found = reads() - before
    print(f"{found} reads for {seconds} looks")
    assert found <= 2 * seconds
