"""Reload: what an operator sees of it, and what the tasks notice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]

APP = """
import os, time
from pathlib import Path
from tests.support.apps.ledger import app, note
from workerd import bootsteps
from workerd.signals import worker_process_init

@app.task(name="version")
def version():
    return {version}

@app.task(name="endless"{options})
def endless():
    time.sleep(600)

{more}
"""
STEP = """
class Greeter(bootsteps.StartStopStep):
    requires = ("Pool",)
    def start(self, worker):
        print("hello {word}")

app.steps["worker"].add(Greeter)
"""
ONLY_FIRST = """
@worker_process_init.connect
def once(**words):
    Path(os.environ["LEDGER"] + ".first").touch(exist_ok=False)
"""


def write(home: Path, version: int, *, options: str = "", more: str = "") -> str:
    text = APP.format(version=version, options=options, more=more)
    temporary = home / "versions.new"
    temporary.write_text(text)
    temporary.rename(home / "versions.py")
    return "versions"


def test_fifty_hups_end_with_the_code_of_the_last(make: Make, short_dir: Path) -> None:
    daemon = make(app=write(short_dir, 0)).start()
    for version in range(1, 51):
        write(short_dir, version)
        daemon.kill(signal.SIGHUP)
    with daemon.client() as app:
        eventually(lambda: app.send_task("version").get(timeout=30) == 50, within=60)
    eventually(lambda: daemon.status()["state"] == "running")
    pool = daemon.status()["pools"][0]
    assert pool["generation"] < 50
    # Of two slots three quarters are two: nobody is ever missed.
    assert {"child retired", "child ready"} <= {entry["happened"] for entry in pool["journal"]}
    assert min(entry["ready"] for entry in pool["journal"]) >= 2
    assert daemon.stop() == 0


def test_time_limits_and_tasks_of_the_new_code_are_in_force_after_it(make: Make, short_dir: Path) -> None:
    daemon = make(app=write(short_dir, 1, more="@app.task(name='old')\ndef old(): ...")).start(size="1")
    write(short_dir, 2, options=", time_limit=0.5", more="@app.task(name='new')\ndef new(): return 'new'")
    done = daemon.run("reload", "--wait")
    assert done.returncode == 0, done.stderr
    assert "; no longer there: old; no older child is left\n" in done.stdout
    with daemon.client() as app:
        assert app.send_task("new").get(timeout=30) == "new"
        result = app.send_task("endless")
        with pytest.raises(Exception, match="TimeLimitExceeded"):
            result.get(timeout=30)


@pytest.mark.parametrize("pools", [(), ("--pool", "other:queues=other,size=1")])
def test_a_child_that_cannot_start_after_the_first_one_brings_all_pools_back(
    make: Make, short_dir: Path, pools: tuple[str, ...]
) -> None:
    daemon = make(app=write(short_dir, 1)).start(*pools, size="2")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        held = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        write(short_dir, 2, more=ONLY_FIRST)
        failed = daemon.run("reload")
        assert failed.returncode == 1
        assert "FileExistsError" in failed.stderr and "in once" in failed.stderr
        assert failed.stderr.endswith("; the old code goes on serving\n")
        assert "end" not in daemon.ledger.read_text()
        gate.touch()
        assert held.get(timeout=30) == 1
        eventually(lambda: {pool["generation"] for pool in daemon.status()["pools"]} == {1})
        assert app.send_task("version").get(timeout=30) == 1
        if pools:
            assert app.send_task("version", queue="other").get(timeout=30) == 1
    assert "failed: " in daemon.status()["reload"]
    assert daemon.ran() == {1: 1}
    write(short_dir, 3)
    assert daemon.run("reload", "--wait").returncode == 0


def test_wait_tells_for_which_old_tasks(make: Make, short_dir: Path) -> None:
    daemon = make(app=write(short_dir, 1)).start(size="2")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        held = app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        write(short_dir, 2)
        with daemon.popen("reload", "--wait") as waiting:
            assert waiting.stderr is not None
            line = waiting.stderr.readline()
            assert line.startswith("waiting for 1 older child: ledger.hold[")
            assert app.send_task("version").get(timeout=30) == 2
            assert daemon.status()["state"] == "running"
            gate.touch()
            assert waiting.wait(30) == 0
            assert waiting.stdout is not None
            assert waiting.stdout.read().endswith("; no older child is left\n")
        assert held.get(timeout=30) == 1


BESIDE = """
from workerd import bootsteps

class Beside(bootsteps.StartStopStep):
    word = "{word}"
"""


def test_what_needs_a_restart_is_said(make: Make, short_dir: Path) -> None:
    (short_dir / "beside.py").write_text(BESIDE.format(word="one"))
    env = {"WORKERD_STEPS__CONSUMER": "beside:Beside"}
    daemon = make(app=write(short_dir, 1, more=STEP.format(word="one"))).start(size="1", env=env)
    same = daemon.run("reload")
    assert "restart" not in same.stdout
    write(short_dir, 2, more=STEP.format(word="two") + "\napp.conf.task_default_queue = 'else'\n")
    (short_dir / "beside.py").write_text(BESIDE.format(word="two"))
    done = daemon.run("reload")
    assert done.returncode == 0
    names = "consumer step beside.Beside, setting queues, worker step versions.Greeter"
    assert f"; in force only after `workerd restart`: {names}\n" in done.stdout
    assert daemon.logged(f"in force only after a restart: {names}")
    assert not daemon.logged("hello two")
