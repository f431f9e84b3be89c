"""Requests at awkward moments: while booting, while the broker is away, while restarting."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

Make = Callable[..., Workerd]


def test_a_reload_before_the_first_children_are_up_waits_for_them(make: Make, short_dir: Path) -> None:
    (short_dir / "slowapp.py").write_text(
        "import time, os\nfrom tests.support.apps.ledger import app\n"
        "if 'template' in open(f'/proc/{os.getpid()}/cmdline').read(): time.sleep(2)\n"
    )
    daemon = make(app="slowapp").start(ready=False)
    eventually(lambda: daemon.run("status").returncode == 0)
    assert daemon.status()["state"] == "booting"
    for _ in range(3):
        daemon.kill(signal.SIGHUP)
    daemon.wait_ready()
    eventually(lambda: daemon.status()["pools"][0]["generation"] >= 2, within=60)
    eventually(lambda: daemon.status()["state"] == "running")
    assert daemon.stop() == 0


def test_a_range_of_sizes_grows_with_the_demand_and_shrinks_by_scale(start: Start) -> None:
    daemon = start(size="1-4")
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(6):
            app.send_task("ledger.hold", (number, str(gate)))
        eventually(lambda: daemon.status()["pools"][0]["alive"] == 4)
        eventually(lambda: len(daemon.ran("start")) == 4)
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 6)
    assert daemon.run("scale", "1").returncode == 0
    eventually(lambda: daemon.status()["pools"][0]["alive"] == 1)


def test_a_fixed_size_can_become_a_range(start: Start) -> None:
    daemon = start(size="1")
    gate = daemon.home / "gate"
    assert daemon.run("scale", "1-3").returncode == 0
    with daemon.client() as app:
        for number in range(3):
            app.send_task("ledger.hold", (number, str(gate)))
        eventually(lambda: daemon.status()["pools"][0]["alive"] == 3)
    gate.touch()


def test_scale_reload_and_restart_are_refused_while_draining(start: Start) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGTERM)
        eventually(lambda: daemon.status()["state"] == "draining")
        assert re.search(r": draining \(\d+ s left\), up ", daemon.run("status").stdout)
        for words in (("scale", "5"), ("reload",), ("restart",)):
            done = daemon.run(*words)
            assert done.returncode == 1
            assert "the daemon is draining" in done.stderr
        gate.touch()
    assert daemon.wait() == 0


def test_a_second_stop_may_shorten_the_drain(start: Start) -> None:
    daemon = start()
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(daemon.home / "never")))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGTERM)
        eventually(lambda: daemon.status()["state"] == "draining")
        assert daemon.run("stop", "--timeout", "1s").returncode == 75
    assert daemon.wait() == 75
    assert daemon.logged(r"Draining: at most 600 seconds for ledger\.hold\[.*a second signal ends it sooner")


def test_a_restart_with_a_broken_app_setting_or_step_changes_nothing(make: Make, short_dir: Path) -> None:
    module, settings = short_dir / "restartapp.py", short_dir / "w.toml"
    good = "from tests.support.apps.ledger import app\n"
    module.write_text(good)
    settings.write_text("max_crashes = 3\n")
    daemon = make(app="restartapp").start("--config", "w.toml")

    def refused(reason: str) -> None:
        done = daemon.run("restart")
        assert done.returncode == 1, done.stdout + done.stderr
        assert reason in done.stdout + done.stderr

    module.write_text("raise RuntimeError('broken code')\n")
    refused("broken code")
    module.write_text(good + "app.conf.include = ['no_such_part']\n")
    refused("no module 'no_such_part'")
    module.write_text(
        good + "from workerd import bootsteps\n"
        "class S(bootsteps.StartStopStep):\n    requires = ('Pol',)\n"
        "app.steps['worker'].add(S)\n"
    )
    refused("Pol")
    module.write_text(good)
    settings.write_text("max_crashs = 3\n")
    refused("max_crashs")
    assert daemon.status()["state"] == "running"

    settings.write_text("max_crashes = 4\n")
    done = daemon.run("restart")
    assert done.returncode == 0, done.stdout + done.stderr
    assert daemon.status()["pid"] == daemon.pid
    assert daemon.stop() == 0


def test_a_restart_whose_children_do_not_start_says_why_while_it_waits(make: Make, short_dir: Path) -> None:
    module = short_dir / "waitapp.py"
    good = "from tests.support.apps.ledger import app\n"
    module.write_text(good)
    daemon = make(app="waitapp").start()
    module.write_text(
        good + "from workerd.signals import worker_process_init\n"
        "@worker_process_init.connect\n"
        "def connect(**words):\n    raise RuntimeError('no database')\n"
    )
    with daemon.popen("restart") as restart:
        assert restart.stderr is not None
        told = restart.stderr.readline()
        assert told.startswith(
            "no task is taken yet: pool default: a start failed, the last: it could not start"
        )
        assert "no database" in told
        module.write_text(good)
        assert daemon.run("reload").returncode == 0
        assert restart.wait(timeout=60) == 0
    assert daemon.stop() == 0


def test_a_reload_shows_of_a_broken_app_its_own_lines_alone(make: Make, short_dir: Path) -> None:
    module = short_dir / "reloadapp.py"
    good = "from workerd import App\napp = App('reloadapp')\n@app.task\ndef a(): ...\n"
    module.write_text(good + "@app.task\ndef b(): ...\n")
    daemon = make(app="reloadapp").start()

    module.write_text(good + "1 / 0\n")
    done = daemon.run("reload")
    *trace, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert trace[1].endswith('reloadapp.py", line 5, in <module>')
    assert "workerd_pool" not in done.stderr
    assert last == (
        "workerd: generation 2 failed: app module 'reloadapp' cannot be imported: ZeroDivisionError: division"
        " by zero; mend the app; the old code goes on serving"
    )
    module.unlink()
    done = daemon.run("reload")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no module 'reloadapp'" in done.stderr

    module.write_text(good)
    done = daemon.run("reload")
    assert done.stdout == "reloaded: generation 4 serves, with 1 task; no longer there: reloadapp.b\n"
    assert daemon.stop() == 0


def test_nobody_can_take_the_name_during_a_restart(start: Start) -> None:
    daemon = start()
    path = daemon.home / "r" / "main" / "lock"
    taken = []

    def try_to_take() -> bool:
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken.append(True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
        return daemon.text().count("ready.") >= 2

    daemon.kill(signal.SIGUSR2)
    eventually(try_to_take, every=0.001)
    assert not taken
    assert daemon.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_during_a_restart_wins(start: Start, signum: signal.Signals) -> None:
    daemon = start()
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        daemon.kill(signal.SIGUSR2)
        eventually(lambda: daemon.status()["state"] == "draining")
        daemon.kill(signum)
        gate.touch()
    assert daemon.wait() == 0
    assert daemon.text().count("ready.") == 1


def test_what_the_app_leaves_in_the_supervisor_changes_neither_the_end_nor_its_code(
    make: Make, short_dir: Path
) -> None:
    (short_dir / "cloggedapp.py").write_text(
        "import atexit, pathlib, sys, threading, time\nfrom tests.support.apps.ledger import app\n"
        "here = pathlib.Path(__file__).parent\n"
        "def last():\n"
        "    (here / 'leaving').touch()\n"
        "    while not (here / 'signalled').exists(): time.sleep(0.02)\n"
        "if 'workerd_pool' not in ' '.join(sys.orig_argv):\n"
        "    atexit.register(last)\n"
        "    if (here / 'threads').exists():\n"
        "        threading.Thread(target=threading.Event().wait, name='for-ever').start()\n"
    )
    daemon = make(app="cloggedapp").start(ready=False)
    eventually(lambda: daemon.logged(r"ready\."))
    daemon.kill(signal.SIGTERM)
    eventually((short_dir / "leaving").exists)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        daemon.kill(signum)
    (short_dir / "signalled").touch()
    assert daemon.wait() == 0

    (short_dir / "threads").touch()
    daemon.start(ready=False)
    eventually(lambda: daemon.text().count("ready.") == 2)
    daemon.kill(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.logged("Not waiting for threads of the app: for-ever")
