"""One run: a contender, an emptied broker, a ledger, and perhaps the contender's worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.daemon.apps.ledger import Ledger
from bench.daemon.brokers import Broker
from bench.daemon.contenders import APPS, Contender

Process = subprocess.Popen[bytes]

PUT_BACK = 20.0
"""Seconds in which a broker must have put back what it had handed out."""


class BenchError(RuntimeError):
    """A run that must not count: tasks were lost or repeated, or a program has failed."""


class Run:
    """``tasks`` tasks of one contender in a home of its own."""

    def __init__(self, home: Path, contender: Contender, broker: Broker, tasks: int, backend: str) -> None:
        self.contender, self.broker, self.home, self._backend = contender, broker, home, backend
        self.ledger = Ledger.create(home / "ledger", tasks)
        self._env = {
            **os.environ,
            # As on a machine in use: what was imported once is not compiled anew, and what is printed waits.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONUNBUFFERED": "",
            "BENCH_LEDGER": str(home / "ledger"),
            "BENCH_BROKER": broker.url,
            "BENCH_BACKEND": backend,
            "WORKERD_STATE_DIR": str(home / "s"),
            "WORKERD_RUNTIME_DIR": str(home / "r"),
            "PYTHONPATH": str(APPS),
            "RQ_REDIS_URL": broker.url,
        }

    def send(
        self,
        verb: str = "",
        *,
        first: int = 0,
        count: int | None = None,
        rate: float = 0.0,
        **shape: Any,
    ) -> dict[str, float]:
        """Send tasks, all if not told otherwise, with the contender's own client; what that took.

        ``verb`` is one of ``apps/client.py``, by default the contender's quickest way.
        """
        verb = verb or self.contender.fill
        count = self.ledger.tasks - first if count is None else count
        argv = self.contender.client(verb, first, count, rate, json.dumps(shape))
        done = subprocess.run(argv, env=self._env, cwd=APPS, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"the client of {self.contender.name} has failed:\n{done.stderr[-3000:]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    @contextmanager
    def worker(self, children: int, *words: str) -> Iterator[Process]:
        """The worker, from its exec on; at the end it is stopped as its users do, and has left nothing."""
        with (self.home / "log").open("wb") as log:
            process = subprocess.Popen(
                self.contender.argv(children, *words),
                env=self._env,
                cwd=APPS,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            stop(process, self.contender.stop)

    def await_tasks(self, process: Process, tasks: int) -> None:
        """Return when so many tasks have begun.  Errors: BenchError when none does for a minute."""
        self.await_fact(process, lambda: self.ledger.done() >= tasks, self.ledger.done)

    def await_fact(
        self, process: Process, fact: Callable[[], bool], progress: Callable[[], int], patience: float = 60.0
    ) -> None:
        """Return when it is so.  Errors: BenchError when there is no progress for ``patience`` seconds."""
        last, since = -1, time.monotonic()
        while not fact():
            if process.poll() is not None:
                raise BenchError(f"{self.contender.name} has ended by itself:\n{self.log()}")
            if (now := progress()) != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                raise BenchError(f"{self.contender.name} stands still at {now}:\n{self.log()}")
            time.sleep(0.005)

    def verify(self) -> None:
        """To be called when the worker has gone.

        Errors: BenchError unless every task ran exactly once or is in the broker, and has its result if those
        are stored.
        """
        ran, wrong = self.ledger.done(), []
        if repeated := self.ledger.repeated():
            wrong.append(f"{repeated} tasks repeated")
        if lost := self._lost(ran):
            wrong.append(f"{lost} messages lost" if lost > 0 else f"{-lost} messages left of tasks that ran")
        if self._backend and (missing := ran - self.broker.stored(self._backend, self.contender)):
            wrong.append(f"{missing} results missing")
        if wrong:
            raise BenchError(f"{self.contender.name}: {', '.join(wrong)}:\n{self.log()}")

    def _lost(self, ran: int) -> int:
        """Messages that are nowhere.  RabbitMQ puts back what a worker held when that has gone already."""
        until = time.monotonic() + PUT_BACK
        while (lost := self.ledger.tasks - ran - self.broker.left(self.contender)) > 0:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        return lost

    def log(self) -> str:
        """The end of what the worker has said."""
        return (self.home / "log").read_text(errors="replace")[-3000:]


def stop(process: Process, signum: signal.Signals) -> None:
    """Whatever is left of a worker after 20 s is killed."""
    family = []
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signum)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _, left = psutil.wait_procs(family, timeout=5)
    for each in left:
        each.kill()
    psutil.wait_procs(left, timeout=5)


@contextmanager
def run(contender: Contender, broker: Broker, tasks: int, *, backend: str = "") -> Iterator[Run]:
    """A run on an emptied broker."""
    broker.empty(contender, backend)
    with tempfile.TemporaryDirectory(prefix="wd-") as home:  # short: sockets live below it
        yield Run(Path(home), contender, broker, tasks, backend)
