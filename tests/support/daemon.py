"""A real daemon as a subprocess of the test, driven as an operator would."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.eventually import eventually
from tests.support.leaks import gone
from workerd import App
from workerd.cli.table import lines
from workerd.control.client import ControlClient
from workerd.errors import WorkerdError

REPOSITORY = Path(__file__).resolve().parents[2]
APP = "tests.support.apps.ledger"


class Workerd:
    """One daemon in ``home`` (short: sockets live below it), and the ``workerd`` command beside it."""

    def __init__(
        self,
        home: Path,
        *,
        app: str = APP,
        broker: str | None = None,
        backend: str | None = None,
        name: str = "main",
    ) -> None:
        self.home, self.app, self.broker, self.backend = home, app, broker, backend
        self.ledger = home / "ledger"
        self.log = home / "log"
        self.env = {
            **os.environ,
            "WORKERD_STATE_DIR": str(home / "s"),
            "WORKERD_RUNTIME_DIR": str(home / "r"),
            "WORKERD_NAME": name,
            "LEDGER": str(self.ledger),
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": "120",
            "WORKERD_AUTOSCALE__MAX_LOAD": "0",  # what else this machine does is no matter of the tests
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._family: set[psutil.Process] = set()

    # -- commands ----------------------------------------------------------------------------------

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "workerd", *words]

    def run(self, *words: str, within: float = 60.0, env: Mapping[str, str] | None = None) -> Any:
        """One ``workerd`` command; the completed process with text."""
        return subprocess.run(
            self.argv(*words),
            env={**self.env, **(env or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def popen(self, *words: str) -> subprocess.Popen[str]:
        """One ``workerd`` command, while it runs; its outputs are pipes."""
        return subprocess.Popen(
            self.argv(*words),
            env=self.env,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(
        self, *words: str, size: str = "2", ready: bool = True, env: Mapping[str, str] | None = None
    ) -> Workerd:
        """``workerd start`` in the background; waits until it consumes unless told otherwise."""
        urls = [*(["--broker", self.broker] if self.broker else [])]
        urls += ["--backend", self.backend] if self.backend else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv("-A", self.app, "start", "--size", size, *urls, *words),
                env={**self.env, **(env or {})},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            self.wait_ready()
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def status(self) -> dict[str, Any]:
        """As ``workerd status --json`` shows it, without a process for each look.

        AssertionError when no daemon answers.
        """
        directory = Path(self.env["WORKERD_RUNTIME_DIR"], self.env["WORKERD_NAME"])
        try:
            return ControlClient(directory / "control.sock").call("status", patience=5.0)
        except WorkerdError as exc:
            raise AssertionError(f"no status: {exc}") from exc

    def degraded(self) -> str:
        """The first line of ``workerd status`` that says what is wrong; empty when nothing is."""
        return next((line for line in lines(self.status()) if "DEGRADED" in line), "")

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:  # no assertion: that would mean "not yet"
                raise RuntimeError(f"the daemon has ended:\n{self.text()}")
            return bool(self.status()["ready"])

        eventually(ready, within=60.0, every=0.1)

    def kill(self, signum: int = signal.SIGTERM) -> None:
        self._remember()
        os.kill(self.pid, signum)

    def wait(self, within: float = 60.0) -> int:
        """The exit code, once it has ended."""
        assert self.process is not None
        self._remember()
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon has not ended within {within} s:\n{self.text()}") from None

    def stop(self, within: float = 30.0) -> int:
        """Stop it as an operator does; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
        return self.wait(within)

    def end(self) -> None:
        """Whatever state it is in: gone, with its descendants.  Errors: AssertionError if one stays."""
        if self.process is not None and self.process.poll() is None:
            self.kill(signal.SIGKILL)
            self.process.wait(30)
        # Shown by pytest when the test fails.
        lines = [line for line in self.text().splitlines() if "] control c" not in line]
        print(f"---- log of the daemon in {self.home}", *lines[-150:], sep="\n")
        self.leaves_nothing()

    def leaves_nothing(self) -> None:
        """No process that this daemon had is left, 10 s after its end."""
        _, left = psutil.wait_procs([process for process in self._family if not gone(process)], timeout=10)
        left = [process for process in left if not gone(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert not left, f"left by the daemon: {left}\n{self.text()}"

    def _remember(self) -> None:
        """Once the daemon has gone, nothing tells which processes were its own."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._family.update(self.descendants())

    # -- what can be seen ----------------------------------------------------------------------------

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logged(self, pattern: str) -> bool:
        return re.search(pattern, self.text()) is not None

    def descendants(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.pid).children(recursive=True) if p.is_running()]

    def children(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.status()["pools"][0]["children"]
        return found

    def ran(self, word: str = "end") -> Counter[int]:
        """How often each number was noted with ``word``."""
        if not self.ledger.exists():
            return Counter()
        rows = (line.split() for line in self.ledger.read_text().splitlines())
        return Counter(int(row[1]) for row in rows if row[0] == word)

    def client(self) -> App:
        """An app in the test's process that sends to this daemon's broker."""
        url = f"redis+socket://{self.home}/s/_broker/valkey.sock"
        return App("client", broker=self.broker or url, backend=self.backend or self.broker or url)


@contextmanager
def running(home: Path, *, code: int = 0, **options: Any) -> Iterator[Workerd]:
    """A daemon that is stopped at the end whatever happens, and leaves nothing.

    Unless the test has ended it, it must stop with exit code ``code``.
    """
    words, env = options.pop("words", ()), options.pop("env", None)
    size = options.pop("size", "2")
    daemon = Workerd(home, **options)
    try:
        yield daemon.start(*words, size=size, env=env)
        if daemon.process is not None and daemon.process.poll() is None:
            ended = daemon.stop()
            assert ended == code, f"exit code {ended}\n{daemon.text()}"
    finally:
        daemon.end()
