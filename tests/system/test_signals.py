"""What each signal does to a running daemon; in the other states: ``test_signal_table``."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.eventually import eventually
from tests.system.conftest import Start


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_first_stop_signal_drains(start: Start, signum: signal.Signals) -> None:
    daemon = start(size="1")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in (1, 2, 3):
            app.send_task("ledger.hold", (number, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signum)
        eventually(lambda: daemon.status()["state"] == "draining")
        gate.touch()
    assert daemon.wait() == 0
    assert daemon.ran("start") == {1: 1}

    daemon.start()  # what had not started was given back
    eventually(lambda: daemon.ran() == {1: 1, 2: 1, 3: 1})


def test_a_repeat_within_a_second_is_the_same_request(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        for _ in range(20):
            os.kill(daemon.pid, signal.SIGTERM)  # at once: ``daemon.kill`` looks at the processes first
        eventually(lambda: daemon.status()["state"] == "draining")
        gate.touch()
    assert daemon.wait() == 0
    assert daemon.ran() == {1: 1}


def test_stop_signals_again_end_in_a_kill_and_the_work_is_given_back(start: Start) -> None:
    daemon = start(env={"WORKERD_DRAIN__GRACE": "2"})
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.deaf", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGTERM)
        eventually(lambda: daemon.status()["state"] == "draining")

        def stopping() -> bool:
            # Within a second of the first it is the same request, so an impatient operator repeats it.
            daemon.kill(signal.SIGTERM)
            return bool(daemon.status()["state"] == "stopping")

        eventually(stopping, every=0.3)
        assert daemon.wait() == 75
        assert daemon.logged("given back to celery")

        gate.touch()
        daemon.start()
        eventually(lambda: daemon.ran() == {1: 1})


def test_quit_kills_at_once_and_gives_everything_back(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(4):
            app.send_task("ledger.hold", (number, str(gate)))
        eventually(lambda: len(daemon.ran("start")) == 2)
        daemon.kill(signal.SIGQUIT)
        assert daemon.wait() == 0
        gate.touch()
        daemon.start()
        eventually(lambda: daemon.ran() == dict.fromkeys(range(4), 1))


def test_a_drain_ends_at_its_deadline_with_exit_code_75(start: Start) -> None:
    daemon = start(words=("--drain-timeout", "1s"))
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(daemon.home / "never")))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGTERM)
        assert daemon.wait() == 75


def test_hup_reloads_and_a_running_task_is_not_disturbed(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        held = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        for _ in range(3):
            daemon.kill(signal.SIGHUP)
        eventually(lambda: daemon.status()["pools"][0]["generation"] >= 2)
        eventually(lambda: daemon.status()["state"] == "running")
        assert app.send_task("ledger.run", (2,)).get(timeout=30) == 2
        gate.touch()
        assert held.get(timeout=30) == 1
    assert daemon.ran() == {1: 1, 2: 1}


def test_ttin_and_ttou_change_the_size(start: Start) -> None:
    daemon = start()
    daemon.kill(signal.SIGTTIN)
    eventually(lambda: daemon.status()["pools"][0]["alive"] == 3)
    daemon.kill(signal.SIGTTOU)
    eventually(lambda: daemon.status()["pools"][0]["alive"] == 2)


def test_usr1_dumps_state_and_stacks_to_the_log(start: Start) -> None:
    daemon = start()
    daemon.kill(signal.SIGUSR1)
    eventually(lambda: daemon.logged(r"State: \{") and daemon.logged("most recent call first"))


def test_usr2_restarts_under_the_same_pid(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGUSR2)
        eventually(lambda: daemon.logged("Draining"))
        gate.touch()
        eventually(lambda: daemon.text().count("ready.") == 2)
        assert daemon.status()["pid"] == daemon.pid
        assert app.send_task("ledger.run", (2,)).get(timeout=30) == 2
    assert daemon.ran() == {1: 1, 2: 1}
