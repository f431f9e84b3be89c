"""Fixtures and rules of the whole suite.

Rules: a process that is left at the end fails the run; a skip is a failure when ``CI=true``; tests
marked ``long`` run only with ``--long``; every random choice comes from a seed that is printed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.clock import FakeClock
from tests.support.leaks import LeakCheck, kill
from tests.support.snippets import Reader

LEAKS = pytest.StashKey[LeakCheck]()
SEED = pytest.StashKey[int]()
LEFT = pytest.StashKey[list[str]]()
SHARED = pytest.StashKey[list[RedisServer | RabbitServer]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run tests marked long, and more rounds")
    parser.addoption(
        "--soak", type=float, default=60.0, metavar="SECONDS", help="how long a soak goes on (60)"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Of a run in the background (`make test &`) a shell has these ignored, and so would all that is started.
    for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long (make test-long)")
    # Timings are no matter of property tests; what make test tries is the same each time, and little:
    # --long looks further.
    settings.register_profile("normal", deadline=None, derandomize=True, max_examples=25)
    settings.register_profile("long", deadline=None, print_blob=True, max_examples=2000)
    settings.load_profile("long" if config.getoption("--long") else "normal")
    config.stash[LEAKS] = LeakCheck()
    # In the environment, because the processes that share a run (pytest -n) are started from this one.
    seed = os.environ.setdefault("TEST_SEED", str(random.SystemRandom().randrange(2**32)))
    config.stash[SEED] = int(seed)
    config.stash[LEFT] = []
    config.stash[SHARED] = []
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(SharedRun(config))


class SharedRun:
    """What the processes of a shared run (``pytest -n``) have left is a failure of the whole."""

    def __init__(self, config: pytest.Config) -> None:
        self._left = config.stash[LEFT]

    def pytest_testnodedown(self, node: Any) -> None:
        self._left += getattr(node, "workeroutput", {}).get("left", [])


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.stash[SEED]
    return f"seed: {seed} (the same again: TEST_SEED={seed})"


EARLY = (
    "test_soak",
    "test_outages",
    "test_readme",
    "test_under_load",
    "test_late_tasks",
    "test_delayed",
    "test_rabbitmq",
    "test_broker",
    "test_kills",
    "test_cuts",
    "test_canvas",
    "test_reconnect",
    "test_signal_table",
)
"""Files with the longest tests; they begin first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The last worker to end should not be one that has just begun with a long file.
    items.sort(key=lambda item: not item.path.name.startswith(EARLY))
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.longrepr = f"CI=true allows no skips: {report.longreprtext}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    check = session.config.stash[LEAKS]
    left = check.wait(within=10.0)
    kill(left)
    told = [*session.config.stash[LEFT], *map(str, left)]
    session.config.stash[LEFT] = told
    if told:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left"] = told
    check.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash.get(LEFT, []):
        terminalreporter.section("processes left by the tests", red=True)
        terminalreporter.write_line("\n".join(left), red=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """A generator of this test's own; the run's header tells how to get the same again."""
    return random.Random(f"{request.config.stash[SEED]}:{request.node.nodeid}")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many times as much a test with repetitions should do: 1, or 10 with ``--long``."""
    return 10 if request.config.getoption("--long") else 1


@pytest.fixture
def soak_seconds(request: pytest.FixtureRequest) -> float:
    """How long a soak goes on."""
    seconds: float = request.config.getoption("--soak")
    return seconds


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """An empty directory whose path leaves room for a socket's name (107 bytes in all)."""
    path = Path(tempfile.mkdtemp(prefix="wd-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def empty_brokers(request: pytest.FixtureRequest) -> None:
    """No file finds what another has left in the brokers that all share: a task that waits for ever, say."""
    for server in request.config.stash[SHARED]:
        server.empty()


@pytest.fixture(scope="session")
def redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    request.config.stash[SHARED].append(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbit_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitServer]:
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    server.start()
    request.config.stash[SHARED].append(server)
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The session's Redis server, emptied, and started again if a test left it down."""
    redis_server.empty()
    return redis_server.url


@pytest.fixture
def rabbit_url(rabbit_server: RabbitServer) -> str:
    """The session's RabbitMQ node, started again if a test left it down; its queues stay."""
    rabbit_server.start_if_down()
    return rabbit_server.url


@pytest.fixture
def reader(tmp_path: Path, short_dir: Path) -> Reader:
    """A reader with an empty directory, a home of their own, and the environment activated."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WORKERD_")}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    env["HOME"] = str(tmp_path)
    env["WORKERD_STATE_DIR"] = str(short_dir / "state")
    env["WORKERD_RUNTIME_DIR"] = str(short_dir / "run")

    def ready() -> bool:
        status = subprocess.run(["workerd", "status"], env=env, capture_output=True, check=False, timeout=30)
        return status.returncode == 0

    return Reader(tmp_path, env, ready)
