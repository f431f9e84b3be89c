"""The app of the system tests: its tasks write what happens to them into the file $LEDGER."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from workerd import App
from workerd.exceptions import SoftTimeLimitExceeded

app = App("ledger")
app.conf.update(json.loads(os.environ.get("LEDGER_CONF", "{}")))
VERSION = os.environ.get("LEDGER_VERSION", "1")


def note(word: str, number: object) -> None:
    """Append one line; a single write with O_APPEND is whole or not there."""
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, f"{word} {number} {os.getpid()} {VERSION}\n".encode())
    finally:
        os.close(fd)


@app.task(name="ledger.add")
def add(x: Any, y: Any) -> Any:
    return x + y


@app.task(name="ledger.run")
def run(number: int, seconds: float = 0.0) -> int:
    note("start", number)
    if seconds:
        time.sleep(seconds)
    note("end", number)
    return number


@app.task(name="ledger.hold")
def hold(number: int, gate: str) -> int:
    """Runs until the file ``gate`` exists."""
    note("start", number)
    while not Path(gate).exists():
        time.sleep(0.02)
    note("end", number)
    return number


@app.task(name="ledger.abortable", bind=True)
def abortable(self: Any, number: int) -> int:
    """Runs until its result is marked as aborted, as ``AbortableAsyncResult.abort`` of Celery does."""
    note("start", number)
    while app.AsyncResult(self.request.id).state != "ABORTED":
        time.sleep(0.02)
    note("end", number)
    return number


@app.task(name="ledger.gorge")
def gorge(number: int, mb: int) -> None:
    """Takes so much and keeps it until it is killed."""
    note("start", number)
    kept = bytearray(os.urandom(1024)) * (mb * 1024)
    while kept:
        time.sleep(0.1)


@app.task(name="ledger.early", acks_late=False)
def early(number: int, seconds: float = 0.0) -> int:
    note("start", number)
    time.sleep(seconds)
    note("end", number)
    return number


@app.task(name="ledger.tidy")
def tidy(number: int, seconds: float = 60.0) -> str:
    """Cleans up when it is interrupted, whatever by, and notes the name of that."""
    note("start", number)
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded as exc:
        note(type(exc).__name__, number)
        if seconds > 90:
            raise
        return "tidied up"
    finally:
        note("finally", number)
    return "done"


@app.task(name="ledger.deaf")
def deaf(number: int, gate: str = "") -> int:
    """As ``hold``, but outlives whatever can be caught, and has started a process."""
    note("start", number)
    sleeper = subprocess.Popen(["sleep", "60"])
    note("pid", sleeper.pid)
    waits = True
    while waits:
        with contextlib.suppress(BaseException):  # around the look at the gate too
            while not (gate and Path(gate).exists()):
                time.sleep(0.05)
            waits = False
    sleeper.kill()
    sleeper.wait()
    note("end", number)
    return number


@app.task(name="ledger.limited", soft_time_limit=0.3, time_limit=30)
def limited(number: int, seconds: float = 60.0) -> str:
    return tidy(number, seconds)


@app.task(name="ledger.pid")
def pid() -> int:
    return os.getpid()


@app.task(name="ledger.boom")
def boom(text: str) -> None:
    raise ValueError(text)


@app.task(name="ledger.tell", bind=True)
def tell(self: Any, what: str) -> None:
    """Sends an event of its own."""
    self.send_event(f"task-{what}", percent=50)


@app.task(name="ledger.flaky", bind=True, max_retries=3)
def flaky(self: Any, times: int) -> int:
    note("start", self.request.retries)
    if self.request.retries < times:
        raise self.retry(countdown=0.05, exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task(name="ledger.again", bind=True, max_retries=1)
def again(self: Any, number: int, gate: str) -> str:
    """Asks for its retry when ``gate.0`` exists; the retry ends when ``gate.1`` does."""
    note("start", number)
    while not Path(f"{gate}.{self.request.retries}").exists():
        time.sleep(0.02)
    if not self.request.retries:
        raise self.retry(countdown=0)
    note("end", number)
    return "second run"


@app.task(name="ledger.shaky", bind=True, autoretry_for=(ValueError,), retry_kwargs={"countdown": 0.05})
def shaky(self: Any, times: int) -> int:
    if self.request.retries < times:
        raise ValueError("not yet")
    return int(self.request.retries)


@app.task(name="ledger.die")
def die(number: int, signum: int) -> None:
    note("start", number)
    os.kill(os.getpid(), signum)


@app.task(name="ledger.die_once")
def die_once(number: int, mark: str) -> str:
    note("start", number)
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return "second run"
    os.kill(os.getpid(), 9)
    return "never"


@app.task(name="ledger.die_at")
def die_at(number: int, gate: str) -> None:
    """Its n-th run kills its child as soon as the file ``gate.n`` exists."""
    note("start", number)
    run = Path(os.environ["LEDGER"]).read_text().count(f"start {number} ")
    while not Path(f"{gate}.{run}").exists():
        time.sleep(0.02)
    os.kill(os.getpid(), 9)


@app.task(name="ledger.regicide")
def regicide(number: int) -> None:
    """Kills the whole daemon, before it can have heard of this run."""
    note("start", number)
    os.kill(os.getppid(), 9)
    time.sleep(60)


@app.task(name="ledger.die_unless")
def die_unless(number: int, mark: str) -> int:
    """Kills its child until the file ``mark`` exists."""
    note("start", number)
    if not Path(mark).exists():
        os.kill(os.getpid(), 9)
    return number


@app.task(name="ledger.stubborn")
def stubborn(number: int, gate: str) -> int:
    """Runs until the file ``gate`` exists, whatever interrupts it."""
    note("start", number)
    while not Path(gate).exists():
        with contextlib.suppress(BaseException):
            time.sleep(0.02)
    return number


@app.task(name="shared.sum")
def shared_sum(numbers: list[int]) -> int:
    """As the task of this name in a Celery worker."""
    return sum(numbers)


@app.task(name="ledger.spawn")
def spawn(number: int) -> str:
    """The id of a call that it has sent."""
    return str(run.delay(number).id)
