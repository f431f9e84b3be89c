"""A message that kills: its deaths are counted wherever it runs next, and three are the end of it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


def open_gate(daemon: Workerd, run: int) -> None:
    """Let the ``run``-th run of message 1 go on, once it has begun."""
    eventually(lambda: daemon.ran("start")[1] == run, within=60)
    (daemon.home / f"gate.{run}").touch()


def is_dead(daemon: Workerd) -> None:
    eventually(lambda: daemon.status()["tasks"]["put_aside"] == 1, within=60)
    assert daemon.ran("start") == {1: 3}
    assert daemon.logged(r"Put aside in celery\.dead: .*3 processes died.*workerd dead show")


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_deaths_before_and_in_a_stop_count_after_the_next_start(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        poison = app.send_task("ledger.die_at", (1, str(daemon.home / "gate")))
        open_gate(daemon, 1)
        eventually(lambda: daemon.ran("start")[1] == 2, within=60)
        daemon.kill(signal.SIGTERM)
        eventually(lambda: daemon.logged("Draining"))
        open_gate(daemon, 2)
        assert daemon.wait() == 0
        daemon.start()
        open_gate(daemon, 3)
        is_dead(daemon)
        assert type(poison.get(timeout=30, propagate=False)).__name__ == "WorkerLostError"


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"], indirect=True)
def test_a_supervisor_that_is_killed_counts_for_what_it_ran(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        poison = app.send_task("ledger.die_at", (1, str(daemon.home / "gate")))
        open_gate(daemon, 1)
        eventually(lambda: daemon.ran("start")[1] == 2, within=60)
        daemon.kill(signal.SIGKILL)
        daemon.wait()
        daemon.start()
        eventually(lambda: daemon.logged(r"ran when its supervisor died \(death 2 of 3\)"))
        open_gate(daemon, 3)
        is_dead(daemon)
        assert poison.get(timeout=30, propagate=False)


def test_a_task_that_kills_the_whole_daemon_in_its_first_moment_does_not_do_so_for_ever(
    start: Start, redis_url: str
) -> None:
    env = {"WORKERD_MAX_CRASHES": "2"}
    daemon = start(broker=redis_url, backend=redis_url, env=env)
    with daemon.client() as app:
        killer = app.send_task("ledger.regicide", (1,))
        daemon.wait()
        daemon.start(ready=False, env=env)
        daemon.wait()
        daemon.start(env=env)
        eventually(lambda: daemon.status()["tasks"]["put_aside"] == 1, within=60)
        assert daemon.ran("start") == {1: 2}
        assert type(killer.get(timeout=30, propagate=False)).__name__ == "WorkerLostError"
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2


def test_a_stop_that_runs_out_of_time_is_no_death(start: Start, redis_url: str) -> None:
    env = {"WORKERD_DRAIN__GRACE": "0.2", "WORKERD_MAX_CRASHES": "1"}
    daemon = start(broker=redis_url, backend=redis_url, env=env)
    with daemon.client() as app:
        stubborn = app.send_task("ledger.stubborn", (1, str(daemon.home / "gate")))
        eventually(lambda: daemon.ran("start")[1] == 1, within=60)
        assert daemon.run("stop", "--timeout", "0.1").returncode == 75
        assert daemon.wait() == 75
        assert daemon.logged("its child was stopped")
        daemon.start(env=env)
        (daemon.home / "gate").touch()
        assert stubborn.get(timeout=30) == 1


def test_a_damaged_state_database_is_set_aside_and_one_that_cannot_be_used_ends_the_start(
    make: Callable[..., Workerd],
) -> None:
    daemon = make()
    path = daemon.home / "s" / "main" / "statedb.sqlite3"
    path.mkdir(parents=True)
    daemon.start(ready=False)
    assert daemon.wait() == 77
    assert daemon.text().splitlines()[-1].startswith(f"workerd: cannot open {path}: ")
    path.rmdir()
    path.write_bytes(b"no database" * 1000)
    daemon.start()
    assert daemon.logged(r"statedb\.sqlite3 is damaged .*: set aside as statedb\.sqlite3\.corrupt-\d+T\d+")
    assert daemon.status()["statedb"] is None
    assert daemon.stop() == 0
