"""``workerd start --detach``: it returns when the daemon serves, or says why it does not."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from workerd.cli.ending import wait_for_end


class Detached(Workerd):
    """Its process is nobody's child that we know of."""

    @property
    def pid_file(self) -> Path:
        return self.home / "pid"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def launch(self, *words: str, app: str | None = None, env: dict[str, str] | None = None) -> Any:
        words = ("-A", app or self.app, "start", "--detach", "--size", "1", "--pidfile", "pid", *words)
        return self.run(*words, env={"WORKERD_DRAIN__TIMEOUT": "5s", **(env or {})})

    def end(self) -> None:
        if self.pid_file.exists():
            pid = self.pid
            self._remember()
            os.kill(pid, signal.SIGKILL)
            assert wait_for_end(pid, 30)
        self.leaves_nothing()


@pytest.fixture
def detached(short_dir: Path) -> Iterator[Detached]:
    found = Detached(short_dir)
    found.log = short_dir / "s" / "main" / "log"
    yield found
    found.end()


def test_its_life(detached: Detached) -> None:
    done = detached.launch()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{detached.status()['node']} runs, pid {detached.pid}\n"
    process = psutil.Process(detached.pid)
    assert os.getsid(process.pid) != os.getsid(0) and process.terminal() is None
    assert process.cwd() == str(detached.home)
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == resource.getrlimit(resource.RLIMIT_CORE)
    assert detached.log.stat().st_mode & 0o777 == 0o640
    with detached.client() as app:
        assert app.send_task("ledger.run", (1,)).get(timeout=30) == 1

    again = detached.launch(env={"WORKERD_NAME": "other"})
    assert again.returncode == 73
    assert f"is the pid file of a process that runs (pid {process.pid})" in again.stderr
    again = detached.launch("--pidfile", "second")
    assert again.returncode == 73 and "a daemon named 'main' runs already" in again.stderr
    assert not (detached.home / "second").exists()

    assert detached.run("restart").returncode == 0
    assert detached.pid == process.pid
    assert detached.run("stop").stdout.endswith("stopped\n")
    assert not detached.pid_file.exists()


def test_why_it_does_not_serve_is_told_with_the_daemons_exit_code(detached: Detached) -> None:
    detached.log.parent.mkdir(parents=True)
    detached.log.write_text("of another day\n")
    done = detached.launch(app="nowhere")
    assert (done.returncode, done.stdout) == (78, "")
    assert "workerd: there is no module 'nowhere'" in done.stderr
    assert "of another day" not in done.stderr
    assert not detached.pid_file.exists()

    (detached.home / "broken.py").write_text("1 / 0\n")
    done = detached.launch(app="broken")
    assert done.returncode == 78
    assert "ZeroDivisionError" in done.stderr and "Traceback" in done.stderr

    (detached.home / "suicide.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    done = detached.launch(app="suicide")
    assert (done.returncode, done.stdout) == (1, "")
    detached.pid_file.unlink()  # what a crash leaves is in nobody's way


def test_a_broker_that_is_away_is_no_reason_to_wait_and_its_password_is_shown_to_nobody(
    detached: Detached,
) -> None:
    done = detached.launch("--broker", "redis://:hush@127.0.0.1:1/0")
    assert done.returncode == 0
    assert "no link to the broker yet: cannot connect to redis://:**@127.0.0.1:1/0" in done.stdout
    # The new image is given the password again.
    assert detached.run("restart").returncode == 0
    eventually(lambda: not detached.status()["ready"] and detached.status()["pools"])
    process = psutil.Process(detached.pid)
    titles = [" ".join(p.cmdline()) for p in (process, *process.children(recursive=True))]
    assert "--broker redis://:**@127.0.0.1:1/0" in titles[0]
    told = [detached.run(*words) for words in (("status",), ("status", "--json"), ("health",))]
    everything = [*titles, detached.log.read_text(), *(one.stdout + one.stderr for one in (done, *told))]
    assert not [text for text in everything if "hush" in text]


def test_who_starts_it_may_leave_and_it_goes_on(detached: Detached) -> None:
    (detached.home / "slow.py").write_text(
        "import time, pathlib\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
        "from tests.support.apps.ledger import app\n"
    )
    words = detached.argv("-A", "slow", "start", "-D", "--size", "1", "--pidfile", "pid")
    with subprocess.Popen(words, env=detached.env, cwd=detached.home, start_new_session=True) as command:
        eventually(detached.pid_file.exists)
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait() == 130
    (detached.home / "go").touch()
    eventually(lambda: detached.status()["ready"], within=60)
    assert detached.run("stop").returncode == 0
