"""Processes that are killed: a child, the supervisor, the template."""

from __future__ import annotations

import signal

import psutil

from tests.support.eventually import eventually
from tests.system.conftest import Start


def test_the_task_of_a_killed_child_runs_again_and_others_are_not_disturbed(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        victim = app.send_task("ledger.hold", (1, str(gate)))
        other = app.send_task("ledger.hold", (2, str(gate)))
        eventually(lambda: len(daemon.ran("start")) == 2)
        child = next(c for c in daemon.children() if victim.id in c["title"])
        psutil.Process(child["pid"]).kill()

        eventually(lambda: daemon.ran("start")[1] == 2)
        assert daemon.ran("start")[2] == 1
        gate.touch()
        assert (victim.get(timeout=30), other.get(timeout=30)) == (1, 2)
    assert daemon.ran() == {1: 1, 2: 1}
    assert daemon.logged(r"lost its child \d+: killed by signal 9 \(SIGKILL\)")


def test_a_task_that_kills_every_child_is_put_aside(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        poison = app.send_task("ledger.die", (1, signal.SIGSEGV))
        eventually(lambda: poison.state == "FAILURE", within=60)
        assert type(poison.result).__name__ == "WorkerLostError"
        assert "SIGSEGV" in str(poison.result)
        assert daemon.ran("start") == {1: 3}
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2
    eventually(lambda: daemon.status()["tasks"]["put_aside"] == 1)


def test_a_killed_supervisor_takes_everything_with_it_and_its_work_runs_after_the_next_start(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        held = [app.send_task("ledger.hold", (n, str(gate))) for n in range(5)]
        eventually(lambda: len(daemon.ran("start")) == 2)
        family = daemon.descendants()
        assert len(family) >= 3  # two children and a template at least

        daemon.kill(signal.SIGKILL)
        daemon.wait()
        _, left = psutil.wait_procs(family, timeout=10)
        assert left == []

        daemon.start()
        gate.touch()
        assert [result.get(timeout=60) for result in held] == list(range(5))
    assert daemon.ran() == dict.fromkeys(range(5), 1)


def test_a_killed_template_touches_no_task_and_is_replaced(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        held = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        template = next(p for p in daemon.descendants() if "template" in " ".join(p.cmdline()))
        template.kill()
        gate.touch()
        assert held.get(timeout=30) == 1
        assert daemon.run("scale", "4").returncode == 0
        eventually(lambda: daemon.status()["pools"][0]["alive"] == 4)
    assert daemon.ran("start") == {1: 1}
