"""Signals to every process at once (a control group, ``tini -g``, a terminal): as to the supervisor alone."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]
CTRL_C = b"\x03"


def to_all(daemon: Workerd, signum: signal.Signals) -> None:
    """One after another, as systemd does it; the supervisor last, which leaves the others the most time."""
    family = daemon.descendants()
    assert len(family) >= 4, "template, children, server"
    for process in family:
        with contextlib.suppress(ProcessLookupError):  # the one between the template and a child
            os.kill(process.pid, signum)
    daemon.kill(signum)


def kinds(daemon: Workerd) -> set[str]:
    """What there is beside the supervisor."""
    lines = []
    for process in daemon.descendants():
        with contextlib.suppress(psutil.NoSuchProcess):  # the one between the template and a child
            lines.append(" ".join(process.cmdline()))
    words = ("template", "] child ", "valkey", "program.py")
    return {word for word in words if any(word in line for line in lines)}


@pytest.fixture
def slow_home(short_dir: Path) -> Path:
    """An app whose template takes its time once the file ``slow`` is there."""
    (short_dir / "groupapp.py").write_text(
        "import time, sys, pathlib\nfrom tests.support.apps.ledger import app\n"
        f"slow = pathlib.Path({str(short_dir / 'slow')!r})\n"
        "if 'workerd_pool.template' in ' '.join(sys.orig_argv) and slow.exists():\n"
        f"    pathlib.Path({str(short_dir / 'importing')!r}).touch()\n    time.sleep(60)\n"
    )
    return short_dir


@pytest.mark.parametrize(
    ("state", "signum"),
    [
        ("idle", signal.SIGTERM),
        ("busy", signal.SIGTERM),
        ("reload", signal.SIGTERM),
        ("busy", signal.SIGQUIT),
    ],
)
def test_a_stop_signal_to_every_process(
    make: Make, slow_home: Path, state: str, signum: signal.Signals
) -> None:
    daemon = make(app="groupapp").start("--watch", ready=False)
    eventually(lambda: daemon.logged(r"ready\."), within=60)
    assert kinds(daemon) == {"template", "] child ", "valkey", "program.py"}
    gate = daemon.home / "gate"
    with daemon.client() as app:
        if state != "idle":
            for number in range(3):
                app.send_task("ledger.hold", (number, str(gate)))
            eventually(lambda: len(daemon.ran("start")) == 2)
        if state == "reload":
            (slow_home / "slow").touch()
            daemon.kill(signal.SIGHUP)
            eventually((slow_home / "importing").exists)
        to_all(daemon, signum)
        if signum == signal.SIGTERM:  # a cold stop ends them: an open gate would let them end by themselves
            if state != "idle":
                eventually(lambda: daemon.logged("Draining: a stop was asked for"))
            gate.touch()
        assert daemon.wait() == 0
        gate.touch()
        assert not daemon.logged("embedded broker.*starting again")
        assert not daemon.logged("SIGQUIT|SIGTERM"), "no process beside the supervisor has died of it"
        ran = 2 if signum == signal.SIGTERM and state != "idle" else 0
        assert len(daemon.ran("end")) == ran
        if state == "busy":
            daemon.start(ready=False)  # nothing is lost, and nothing that had ended runs again
            eventually(lambda: daemon.ran("end") == {0: 1, 1: 1, 2: 1})
            assert daemon.stop() == 0


def test_a_hangup_to_every_process_reloads(make: Make) -> None:
    daemon = make().start("--watch", ready=False)
    eventually(lambda: daemon.logged(r"ready\."), within=60)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
        to_all(daemon, signal.SIGHUP)
        eventually(lambda: daemon.logged("New code: generation 2"))
        gate.touch()
        eventually(lambda: daemon.ran() == {1: 1})
    assert daemon.stop() == 0
    assert not daemon.logged("starting again")


class Terminal:
    """A terminal with a shell's place in it: the daemon is its foreground job."""

    def __init__(self, daemon: Workerd) -> None:
        self.daemon = daemon
        self.ours, theirs = pty.openpty()
        argv = daemon.argv("-A", daemon.app, "start", "--size", "2", "--watch")
        # setsid --ctty: the terminal is its own, and what is typed there goes to its group.
        daemon.process = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            env=daemon.env,
            cwd=daemon.home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def text(self) -> str:
        """What is on the screen by now; also keeps the terminal from filling up."""
        os.set_blocking(self.ours, False)
        try:
            while data := os.read(self.ours, 65536):
                with self.daemon.log.open("ab") as log:
                    log.write(data)
        except (BlockingIOError, OSError):
            pass
        return self.daemon.text()


@pytest.fixture
def terminal(make: Make) -> Iterator[Terminal]:
    terminal = Terminal(make())
    yield terminal
    terminal.text()
    os.close(terminal.ours)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
def test_ctrl_c_in_a_terminal(terminal: Terminal, again: bool) -> None:
    daemon = terminal.daemon
    eventually(lambda: "ready." in terminal.text(), within=60)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.deaf" if again else "ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start")[1] == 1)
    daemon.kill(signal.SIGCONT)  # only to remember the family
    terminal.press(CTRL_C)
    eventually(lambda: "Draining: a stop was asked for" in terminal.text())
    if again:

        def stopped() -> bool:
            terminal.press(CTRL_C)
            terminal.text()
            return daemon.process is not None and daemon.process.poll() is not None

        eventually(stopped, every=0.3, within=30)
    else:
        gate.touch()
    assert daemon.wait() == (75 if again else 0)
    text = terminal.text()
    assert "Traceback" not in text
    assert "starting again" not in text, "what stands beside the supervisor has not been disturbed"
