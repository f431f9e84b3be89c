"""One instance of the unit in a box of systemd's own: its app, its settings, and a client of it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import redis

from tests.support.daemon import REPOSITORY
from tests.support.systemd import SystemdBox
from workerd import App

UNIT = "workerd@mail.service"
PLACE = "/var/lib/workerd/mail"
HOME = f"{PLACE}/app"
PROGRAM = Path(sys.prefix) / "bin" / "workerd"

CODE = """
import os, time
from workerd import App

app = App("proj", backend={broker!r})  # the broker is a credential

def note(word, number):
    with open("/var/lib/workerd/mail/ledger", "a") as file:
        file.write(f"{{word}} {{number}}\\n")

@app.task
def version():
    return {version!r}

@app.task
def run(number, seconds):
    note("start", number)
    time.sleep(seconds)
    note("end", number)

@app.task
def hold(number):
    note("start", number)
    while not os.path.exists("/var/lib/workerd/mail/go"):
        time.sleep(0.05)
    note("end", number)

@app.task
def environment():
    return sorted(os.environ)

@app.task
def die():
    os.kill(os.getpid(), 9)

@app.task
def gorge(mb):
    kept = bytearray(os.urandom(1024)) * (mb * 1024)
    time.sleep(60)
    return len(kept)
"""

DROP_IN = f"""
[Service]
WatchdogSec=3
RestartSec=100ms
Environment=PYTHONPATH={REPOSITORY}
LoadCredential=workerd.broker:/etc/workerd/mail.broker
BindReadOnlyPaths={REPOSITORY} {sys.prefix} {sys.base_prefix}
"""


class Service:
    """One instance of the unit, its app, and a client of it."""

    def __init__(self, box: SystemdBox, broker: str) -> None:
        self.box, self.broker = box, broker
        self.client = App("proj", broker=broker, backend=broker)

    def install(self) -> None:
        self.write_app("1")
        unit = subprocess.run(
            [PROGRAM, "-A", "proj", "systemd", "unit", "--user", "root", "--chdir", "/"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        # The directory of the app is in the box alone.
        unit = unit.replace("WorkingDirectory=/\n", f"WorkingDirectory={HOME}\n")
        self.box.write("/etc/systemd/system/workerd@.service", unit)
        self.box.write("/etc/systemd/system/workerd@.service.d/test.conf", DROP_IN)
        self.configure("")
        self.box.write("/etc/workerd/mail.broker", self.broker)
        self.box.systemctl("daemon-reload")

    def write_app(self, version: str, more: str = "") -> None:
        self.box.write(f"{HOME}/proj.py", CODE.format(broker=self.broker, version=version) + more)

    def configure(self, more: str) -> None:
        self.box.write("/etc/workerd/mail.toml", f'size = "2"\n{more}\n')

    def start(self) -> Service:
        """Serving, as if nothing had happened before."""
        self.box.systemctl("reset-failed", UNIT)
        done = self.box.systemctl("start", UNIT)
        assert done.returncode == 0, self.box.systemctl("status", UNIT).stdout + done.stderr
        return self

    def ask(self, task: str, *args: Any) -> Any:
        return self.client.send_task(f"proj.{task}", args).get(timeout=60)

    def send(self, number: int, seconds: float) -> None:
        self.client.send_task("proj.run", (number, seconds))

    def noted(self, word: str) -> list[int]:
        file = self.box.root / f"{PLACE[1:]}/ledger"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(word)]

    def dead(self) -> int:
        """How many messages were put aside."""
        with redis.Redis.from_url(self.broker) as client:
            return int(client.llen("celery.dead"))

    def held(self) -> int:
        """How many messages the daemon has and has not settled."""
        with redis.Redis.from_url(self.broker) as client:
            return int(client.hlen("unacked"))

    def processes(self) -> list[int]:
        """In the machine's numbers."""
        found = []
        for process in psutil.Process(self.box.pid1).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a child may end while they are counted
                if "workerd" in " ".join(process.cmdline()):
                    found.append(process.pid)
        return found

    @property
    def pid(self) -> int:
        """In the box's own numbers."""
        return int(self.box.show(UNIT, "MainPID"))

    @property
    def state(self) -> str:
        return self.box.show(UNIT, "ActiveState")

    @property
    def status(self) -> str:
        return self.box.show(UNIT, "StatusText")

    def children(self) -> list[str]:
        """What the unit's control group says of the pool's processes."""
        return re.findall(r"workerd\S* .*child.*", self.box.systemctl("status", "-n", "0", UNIT).stdout)

    def workerd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.box.run(str(PROGRAM), *words, "--name", "mail")
