"""Health and metrics of a real daemon over HTTP: what flips when what hangs, and what never harms it."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from tests.support.ports import free_port

FLIPS = 15.0
"""Seconds in which a probe must see what is wrong."""


class Watched:
    """A daemon and its three pages."""

    def __init__(self, daemon: Workerd, port: int) -> None:
        self.daemon, self.port = daemon, port

    def get(self, page: str) -> tuple[int, str]:
        """AssertionError while nobody listens."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError as exc:
            raise AssertionError(f"no answer: {exc}") from exc

    def value(self, name: str) -> float:
        """One sample; AssertionError while there is none."""
        for line in self.get("metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        raise AssertionError(f"no {name}")

    def well(self) -> None:
        eventually(lambda: self.get("livez")[0] == self.get("readyz")[0] == 200, within=30)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """As ``short_dir``, for the whole file."""
    with tempfile.TemporaryDirectory(prefix="wd-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RedisServer]:
    """A broker of this file's own, as it is stopped here."""
    (home / "redis").mkdir()
    server = RedisServer(home / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def watched(home: Path, server: RedisServer) -> Iterator[Watched]:
    port = free_port()
    app = "tests.support.apps.giving_up"
    with running(home, app=app, broker=server.url, words=("--http", f"127.0.0.1:{port}")) as daemon:
        yield Watched(daemon, port)


def test_a_loop_that_hangs_is_not_live_and_live_again_when_it_turns(watched: Watched) -> None:
    watched.well()
    os.kill(watched.daemon.pid, signal.SIGSTOP)
    try:
        eventually(lambda: watched.get("livez")[0] == 503, within=FLIPS)
        assert "has not answered for" in watched.get("readyz")[1]
        assert watched.value("workerd_up") == 0
    finally:
        os.kill(watched.daemon.pid, signal.SIGCONT)
    watched.well()


def test_a_broker_that_is_away_leaves_it_live_and_not_ready(watched: Watched, server: RedisServer) -> None:
    watched.well()
    server.stop()
    try:
        eventually(lambda: watched.get("readyz")[0] == 503, within=FLIPS)
        assert "no link to the broker" in watched.get("readyz")[1]
        assert watched.get("livez") == (200, "live\n")
        assert watched.value("workerd_link_up") == 0
    finally:
        server.start()
    watched.well()
    assert watched.value("workerd_link_restarts_total") >= 1


@pytest.mark.long
def test_a_consumer_that_has_given_up_is_not_live(watched: Watched, server: RedisServer) -> None:
    """No code does that: a step of this test takes away the next attempt while a file is there."""
    watched.well()
    server.stop()
    try:
        eventually(lambda: watched.get("readyz")[0] == 503, within=FLIPS)
        (watched.daemon.home / "give-up").touch()
        eventually(lambda: watched.get("livez")[0] == 503, within=FLIPS)
        assert "nothing tries to make one" in watched.get("livez")[1]
        assert watched.get("readyz")[0] == 503
    finally:
        (watched.daemon.home / "give-up").unlink()
        server.start()
    watched.well()


def test_children_that_read_nothing_make_it_unready(watched: Watched) -> None:
    watched.well()
    children = [child["pid"] for child in watched.daemon.children()]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        with watched.daemon.client() as client:
            for number in range(4):
                client.send_task("ledger.run", (100 + number,))
            eventually(lambda: "none of them answers" in watched.get("readyz")[1], within=FLIPS)
        assert watched.get("readyz")[0] == 503
        assert watched.get("livez")[0] == 200
    finally:
        for pid in children:
            os.kill(pid, signal.SIGCONT)
    watched.well()
    eventually(lambda: {100, 101, 102, 103} <= set(watched.daemon.ran()), within=30)


def test_idle_children_that_are_stopped_make_it_unready_before_a_task_comes(watched: Watched) -> None:
    watched.well()
    first, *others = [child["pid"] for child in watched.daemon.children()]
    try:
        os.kill(first, signal.SIGSTOP)
        assert watched.get("readyz")[0] == 200, "the other one runs tasks"
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: "each is stopped" in watched.get("readyz")[1], within=FLIPS)
        assert watched.get("readyz")[0] == 503
        assert watched.get("livez")[0] == 200
    finally:
        for pid in (first, *others):
            os.kill(pid, signal.SIGCONT)
    watched.well()


def test_counters_go_on_over_a_reload(watched: Watched) -> None:
    watched.well()
    runs = 'workerd_task_runs_total{outcome="succeeded",task="ledger.run"}'
    with watched.daemon.client() as client:
        client.send_task("ledger.run", (1,))
        eventually(lambda: watched.value(runs) >= 1)
        before = watched.value(runs)
        assert watched.daemon.run("reload").returncode == 0
        assert watched.value('workerd_pool_generation{pool="default"}') >= 2
        client.send_task("ledger.run", (2,))
        eventually(lambda: watched.value(runs) > before)  # perhaps also by what other tests have sent
    seconds = 'workerd_task_runtime_seconds_count{task="ledger.run"}'
    eventually(lambda: watched.value(seconds) == watched.value(runs))
    assert watched.value("process_resident_memory_bytes") > 1e6


def test_the_program_that_serves_them_may_die_and_nothing_else_notices(watched: Watched) -> None:
    watched.well()
    first = watched.daemon.status()["http"]["pid"]
    os.kill(first, signal.SIGKILL)
    watched.well()
    http = watched.daemon.status()["http"]
    assert http["pid"] not in (0, first)
    assert http["restarts"] == 1
    assert watched.daemon.logged("The program that serves health and metrics ended with signal 9")


@pytest.mark.long  # tests/process/worker/test_http.py has the same without a daemon
def test_an_address_that_is_taken_is_told_and_tried_again(home: Path, server: RedisServer) -> None:
    other = home / "other"
    other.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon = Workerd(other, broker=server.url, name="other")
        try:
            daemon.start("--http", f"127.0.0.1:{port}", size="1")
            reason = f"cannot listen on 127.0.0.1:{port}: Address already in use"
            eventually(lambda: reason in daemon.degraded())
            eventually(lambda: daemon.status()["http"]["restarts"] >= 2)
            assert daemon.text().count(reason) == 1
            taken.close()
            watched = Watched(daemon, port)
            watched.well()
            eventually(lambda: daemon.degraded() == "")
            assert daemon.stop() == 0
        finally:
            daemon.end()
