"""One server process of the tests: start it, stop it, and the faults that servers have."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.eventually import eventually


def program(name: str, package: str) -> str:
    """Where it is.  RuntimeError that says what to install when it is nowhere."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
    if path is None:
        raise RuntimeError(f"{name} is not installed; type: apt-get install {package}")
    return path


class Server(ABC):
    """A private server with its data in ``home``; it keeps its ports and data over restarts."""

    patience = 20.0
    """Seconds in which the server must be up, or gone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The broker URL, as kombu spells it."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that serves; signals go to it."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Return when clients can connect, or with ``wait=False`` at once."""
        assert not self.running, "the server runs already"
        self._launch()
        if not wait:
            return
        try:
            eventually(self._answers_or_died, within=self.patience, every=0.05)
        except BaseException:
            self.kill()  # else nobody would
            raise

    def start_if_down(self) -> None:
        """It may have been left down."""
        if not self.running:
            self.start()

    def stop(self) -> None:
        """An orderly end; nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The server dies as by an out-of-memory kill."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The server hangs: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """The server goes on after ``pause``."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()

    @abstractmethod
    def drop_clients(self) -> None:
        """Close every client's connection and go on serving."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the processes; do not wait."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client can connect and is served."""

    def _answers_or_died(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the server ended at start; its log says:\n{self.log.read_text()[-4000:]}")
        return self._answers()

    def _run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start ``argv`` in a session of its own, so that a Ctrl-C at the tests does not reach it."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv,
                cwd=self.home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, signum: int) -> None:
        if self._process is None:
            return
        if self.running:
            pid = self._pid_to_end()
            _signal(pid, signum)
            _signal(pid, signal.SIGCONT)  # a paused server takes it only now
            try:
                self._process.wait(self.patience)
            except subprocess.TimeoutExpired:
                _signal(pid, signal.SIGKILL)
        self._process.wait(self.patience)
        self._process = None

    def _pid_to_end(self) -> int | None:
        """The process that an end is asked of; None when it ends without being asked."""
        return self.pid


def _signal(pid: int | None, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, signum)
