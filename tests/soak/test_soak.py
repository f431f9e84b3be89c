"""Random events from a printed seed; at every quiet point nothing is missing, doubled or left over.

``make soak`` runs it for ten minutes, the suite for one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.soak.events import GOOD, POOLS, Soak
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually

BUSY = 8.0
"""Seconds of events between two quiet points."""
QUIET_SIZE = 2
SETTINGS = {
    "WORKERD_MAX_TASKS_PER_CHILD": "60",
    "WORKERD_MEMORY_LIMIT": "250MB",
    "WORKERD_AUTOSCALE__WINDOW": "1s",
}


@pytest.fixture
def daemon(short_dir: Path, redis_url: str) -> Iterator[Workerd]:
    home = short_dir / "d"
    home.mkdir()
    (home / "soakapp.py").write_text(GOOD)
    words = ("--pool", "video:queues=video")
    options = {"app": "soakapp", "broker": redis_url, "backend": redis_url, "words": words}
    with running(home, env=SETTINGS, **options) as daemon:
        yield daemon


@pytest.mark.timeout(1800)  # it ends by itself, soak_seconds and a quiet point later
def test_nothing_is_lost_doubled_or_left_whatever_happens(
    daemon: Workerd, rng: random.Random, soak_seconds: float
) -> None:
    end = time.monotonic() + soak_seconds
    with daemon.client() as app:
        soak = Soak(daemon, app, daemon.home / "soakapp.py", rng)
        quiet(soak)
        # Until then it has a connection more, on which other nodes could answer.
        eventually(lambda: daemon.logged("mingle: "))
        before = belongings(daemon)
        while time.monotonic() < end:
            busy_until = time.monotonic() + BUSY
            while time.monotonic() < busy_until:
                soak.event()
                time.sleep(rng.uniform(0.0, 0.3))  # the pace of the events, not a wait for a fact
            quiet(soak)
            eventually(lambda: belongings(daemon) == before, within=30)
            print(f"quiet: {soak.sent.next} tasks sent, {soak.kills} kills; events: {' '.join(soak.log)}")
            soak.log.clear()
    assert soak.sent.ordinary


def quiet(soak: Soak) -> None:
    """After the last event everything comes to rest, and every task has come to its end."""
    daemon, sent = soak.daemon, soak.sent
    eventually(lambda: sent.ordinary <= set(daemon.ran()), within=90)
    for results in (sent.limited, sent.greedy, sent.poison):
        for result in results.values():
            eventually(lambda result=result: result.state == "FAILURE", within=60)
    # A template that was killed while the code was broken is tried again after 30 s.
    eventually(lambda: at_rest(daemon), within=120)  # a spent budget is told for a minute
    account(soak)
    for pool in POOLS:
        assert daemon.run("scale", pool, str(QUIET_SIZE)).returncode == 0
    eventually(lambda: at_rest(daemon) and sizes(daemon) == [QUIET_SIZE] * len(POOLS), within=30)


def sizes(daemon: Workerd) -> list[int]:
    """How many children each pool has."""
    return [pool["alive"] for pool in daemon.status()["pools"]]


def at_rest(daemon: Workerd) -> bool:
    """Nothing runs, waits or comes in, and there are as many children as are wanted."""
    status = daemon.status()
    held = sum(status["tasks"][stage] for stage in ("reserved", "running", "storing", "settling"))
    assert status["state"] == "running" and not held and all(map(is_whole, status["pools"])), status
    return True


def is_whole(pool: Mapping[str, Any]) -> bool:
    """It has as many children as are wanted, and keeps them."""
    return bool(pool["wanted"] == pool["alive"] == len(pool["children"]) and pool["degraded"] is None)


def account(soak: Soak) -> None:
    """Each id exactly once; only a kill of ours may cut a run off, and only such a run begins again."""
    sent, started, ended = soak.sent, soak.daemon.ran("start"), soak.daemon.ran()
    failing = {*sent.limited, *sent.greedy, *sent.poison}
    assert set(started) == sent.ordinary | failing
    # One that a kill hits before its limit runs again, and then to its limit.
    once = [*sent.ordinary, *sent.limited, *sent.greedy]
    repeats = sum(max(started[number] - 1, 0) for number in once)
    cut_off = sum(started[number] - ended[number] for number in sent.ordinary)
    assert cut_off <= soak.kills, "a run was interrupted that no kill of the test has hit"
    assert repeats <= soak.kills, "a run was repeated that no kill of the test has hit"
    assert not set(ended) & failing
    # A kill of ours may be one of the three deaths.
    assert all(started[number] <= 3 for number in sent.poison)
    for result in sent.limited.values():
        assert type(result.result).__name__ == "TimeLimitExceeded"
    for result in sent.greedy.values():
        assert type(result.result).__name__ == "MemoryLimitExceeded"
    for result in sent.poison.values():
        assert type(result.result).__name__ == "WorkerLostError"
    assert soak.daemon.status()["tasks"]["put_aside"] == len(sent.poison)


def belongings(daemon: Workerd) -> tuple[int, int, list[str]]:
    """Processes, descriptors and files of a daemon at rest."""
    processes = daemon.descendants()
    assert all(process.status() != psutil.STATUS_ZOMBIE for process in processes)
    files = [str(path) for path in (daemon.home / "s").rglob("*")] + [
        str(p) for p in (daemon.home / "r").rglob("*")
    ]
    return len(processes), psutil.Process(daemon.pid).num_fds(), sorted(files)
