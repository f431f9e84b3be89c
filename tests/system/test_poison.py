"""A message that kills: its deaths are counted wherever it runs next, and three are the end of it."""

from __future__ import annotations

import signal

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


def test_a_supervisor_that_is_killed_counts_for_what_it_ran(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        poison = app.send_task("ledger.die_at", (1, str(daemon.home / "gate")))
        open_gate(daemon, 1)
        eventually(lambda: daemon.ran("start")[1] == 2, within=60)
        daemon.kill(signal.SIGKILL)
        daemon.wait()
        daemon.start()
        assert daemon.logged(r"ran when its supervisor died \(death 2 of 3\)")
        open_gate(daemon, 3)
        is_dead(daemon)
        assert poison.get(timeout=30, propagate=False)


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_a_task_that_kills_the_whole_daemon_in_its_first_moment_is_not_run_a_fourth_time(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        killer = app.send_task("ledger.regicide", (1,))
        for _ in range(2):
            daemon.wait()
            daemon.start(ready=False)
        daemon.wait()
        daemon.start()
        is_dead(daemon)
        assert killer.get(timeout=30, propagate=False)
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2


def test_a_stop_that_runs_out_of_time_is_no_death(start: Start, redis_url: str) -> None:
    daemon = start(broker=redis_url, backend=redis_url, env={"WORKERD_DRAIN__GRACE": "0.2"})
    with daemon.client() as app:
        held = app.send_task("ledger.hold", (1, str(daemon.home / "gate")))
        for run in range(1, 4):
            eventually(lambda run=run: daemon.ran("start")[1] == run, within=60)  # type: ignore[misc]
            assert daemon.run("stop", "--timeout", "0.1").returncode in (0, 75)
            assert daemon.wait() == 75
            daemon.start(env={"WORKERD_DRAIN__GRACE": "0.2"})
        (daemon.home / "gate").touch()
        assert held.get(timeout=30) == 1
