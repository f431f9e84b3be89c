"""Runs that take too long, or that somebody wants to end."""

from __future__ import annotations

import re
from typing import Any

import psutil
import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start
from workerd.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded


def held_pid(daemon: Workerd) -> int:
    """The process that a deaf task has started."""
    eventually(lambda: daemon.ran("pid"))
    return next(iter(daemon.ran("pid")))


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def deaths(daemon: Workerd) -> dict[str, Any]:
    found: dict[str, Any] = daemon.status()["pools"][0]["deaths"]
    return found


def test_the_limits_of_task_message_and_settings(start: Start) -> None:
    daemon = start(size="3", words=("--soft-time-limit", "0.6s", "--time-limit", "30"))
    with daemon.client() as app:
        by_task = app.send_task("ledger.limited", (1,))
        by_message = app.send_task("ledger.limited", (2,), soft_time_limit=0.2)
        by_settings = app.send_task("ledger.tidy", (3,))
        failing = app.send_task("ledger.tidy", (4, 100.0))
        assert by_task.get(timeout=30) == by_message.get(timeout=30) == by_settings.get(timeout=30)
        with pytest.raises(SoftTimeLimitExceeded):
            failing.get(timeout=30)
    assert daemon.ran("SoftTimeLimitExceeded") == {1: 1, 2: 1, 3: 1, 4: 1}
    assert deaths(daemon)["counts"] == {}
    assert daemon.logged(r"ledger.limited\[.*\] is over its soft time limit")


def test_the_hard_limit_kills_the_group_and_leaves_the_stacks_in_the_log(start: Start) -> None:
    daemon = start()
    with daemon.client() as app:
        stuck = app.send_task("ledger.deaf", (1,), time_limit=1.5, soft_time_limit=0.5)
        sleeper = held_pid(daemon)
        with pytest.raises(TimeLimitExceeded, match=r"1\.5"):
            stuck.get(timeout=30)
        eventually(lambda: gone(sleeper))
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2
    assert daemon.ran("start") == {1: 1}
    assert daemon.logged(r"ledger.deaf\[.*\] is killed in 0\.\ds; its stacks follow")
    assert daemon.logged(r'apps/ledger.py", line \d+ in deaf')
    found = deaths(daemon)
    assert found["counts"] == {"hard limit": 1}
    (last,) = found["last"]
    assert (last["cause"], last["words"]) == ("hard limit", "hard time limit (1.5s)")
    assert last["task"] == f"ledger.deaf[{stuck.id}]"
    table = daemon.run("status").stdout
    assert "died: 1 hard limit" in table
    assert re.search(rf"pid {last['pid']}  hard time limit \(1.5s\) ledger.deaf", table)


def test_the_hard_limit_holds_while_the_broker_is_away_and_over_a_reload(
    start: Start, redis_url: str, redis_server: Any
) -> None:
    daemon = start(broker=redis_url, backend=redis_url)
    with daemon.client() as app:
        app.send_task("ledger.deaf", (1,), time_limit=8)
        sleeper = held_pid(daemon)
        assert daemon.run("reload").returncode == 0
        assert not gone(sleeper)
        redis_server.stop()
        try:
            eventually(lambda: gone(sleeper), within=60)
            assert daemon.status()["link"]["state"] != "up"
        finally:
            redis_server.start()
        eventually(lambda: daemon.status()["link"]["state"] == "up", within=60)
    assert daemon.logged(r"hard time limit \(8s\)")


def test_limits_change_while_the_daemon_runs(start: Start) -> None:
    daemon = start(size="1")
    with daemon.client() as app:
        running = app.send_task("ledger.tidy", (1,))
        waiting = app.send_task("ledger.tidy", (2,))
        eventually(lambda: daemon.ran("start") == {1: 1})
        done = daemon.run("limit", "ledger.tidy", "--soft", "300ms", "--hard", "none")
        said = "soft limit 0.3s, hard limit none (set by an operator); 1 running"
        assert done.stdout == f"ledger.tidy: {said}\n"
        assert running.get(timeout=30) == waiting.get(timeout=30) == "tidied up"
        assert daemon.run("reload").returncode == 0
        assert app.send_task("ledger.tidy", (3,)).get(timeout=30) == "tidied up"
        assert daemon.status()["limits"] == {"ledger.tidy": {"soft": 0.3, "hard": None}}
        done = daemon.run("limit", "ledger.tidy", "--reset")
        assert done.stdout == "ledger.tidy: soft limit none, hard limit none; 0 running\n"
        assert app.send_task("ledger.tidy", (4, 0.5)).get(timeout=30) == "done"
    done = daemon.run("limit", "ledger.tidyy")
    assert (done.returncode, done.stderr) == (
        2,
        "workerd: there is no task 'ledger.tidyy'; did you mean 'ledger.tidy'?\n",
    )
    done = daemon.run("limit", "ledger.tidy", "--soft", "5", "--hard", "4")
    assert done.returncode == 2
    assert "does not come before" in done.stderr


def test_an_operator_ends_tasks(start: Start) -> None:
    daemon = start(size="2", env={"WORKERD_DRAIN__GRACE": "1"})
    with daemon.client() as app:
        polite = app.send_task("ledger.tidy", (1,))
        deaf = app.send_task("ledger.deaf", (2,))
        sleeper = held_pid(daemon)
        eventually(lambda: len(daemon.ran("start")) == 2)
        done = daemon.run("terminate", polite.id)
        assert done.stdout == f"{polite.id}: interrupted\n"
        eventually(lambda: polite.state == "REVOKED")
        assert (type(polite.result).__name__, str(polite.result)) == ("TaskRevokedError", "terminated")
        eventually(lambda: daemon.ran("finally") == {1: 1})
        assert deaths(daemon)["counts"] == {}

        assert daemon.run("terminate", deaf.id).returncode == 0
        eventually(lambda: deaf.state == "REVOKED")
        assert gone(sleeper)
        assert deaths(daemon)["counts"] == {"operator": 1}

        killed = app.send_task("ledger.tidy", (3,))
        eventually(lambda: daemon.ran("start")[3] == 1)
        assert daemon.run("terminate", killed.id, "--kill").stdout == f"{killed.id}: killed\n"
        eventually(lambda: killed.state == "REVOKED")
        assert deaths(daemon)["counts"] == {"operator": 2}
        assert daemon.run("terminate", killed.id).returncode == 2
    assert daemon.ran("start") == {1: 1, 2: 1, 3: 1}
    eventually(lambda: daemon.status()["tasks"]["revoked"] == 3)


def test_a_stop_interrupts_what_outlives_its_deadline_and_gives_it_back(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker, size="3", env={"WORKERD_DRAIN__GRACE": "2"})
    with daemon.client() as app:
        tidy = app.send_task("ledger.tidy", (1,))
        cut_off = app.send_task("ledger.tidy", (2, 100.0))
        hold = app.send_task("ledger.hold", (3, str(daemon.home / "gate")))
        eventually(lambda: len(daemon.ran("start")) == 3)
        done = daemon.run("stop", "--timeout", "0")
        assert done.returncode == 75, done.stderr
        assert daemon.wait() == 75
        assert daemon.ran("SoftStop") == {1: 1, 2: 1}
        assert daemon.ran("finally") == {1: 1, 2: 1}
        for task in (cut_off, hold):
            assert len(re.findall(rf"{task.id}\] given back", daemon.text())) == 1
        assert daemon.logged(rf"{hold.id}\] given back to celery: interrupted by the stop")
        assert not daemon.logged("its child was stopped")  # nobody had to be killed

        (daemon.home / "gate").touch()
        daemon.start(size="3", env={"WORKERD_SOFT_TIME_LIMIT": "2s"})
        assert tidy.get(timeout=60) == "tidied up"
        assert hold.get(timeout=60) == 3
        with pytest.raises(SoftTimeLimitExceeded):
            cut_off.get(timeout=60)
    assert daemon.ran("start") == {1: 1, 2: 2, 3: 2}
    assert daemon.stop() == 0


def test_a_stop_kills_what_does_not_end_at_its_interruption(start: Start) -> None:
    daemon = start(size="1", env={"WORKERD_DRAIN__GRACE": "1"})
    with daemon.client() as app:
        deaf = app.send_task("ledger.deaf", (1,))
        sleeper = held_pid(daemon)
        assert daemon.run("stop", "--timeout", "0").returncode == 75
        assert daemon.wait() == 75
    assert gone(sleeper)
    assert daemon.logged(rf"{deaf.id}\] given back")
