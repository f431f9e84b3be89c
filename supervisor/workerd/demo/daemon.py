"""The demo's own daemon: a ``workerd start`` with directories that nobody else uses.

Units: seconds.
Errors: UnavailableError with the last lines of the daemon's log.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from workerd.control.client import ControlClient
from workerd.demo.ending import Ended
from workerd.errors import UnavailableError
from workerd.paths import control_socket
from workerd.worker.embedded.process import bound_to_us

NAME = "demo"
APP = "workerd.demo.filestats"
_BOOT = 60.0
_END = 30.0
_LOOK = 0.05


class DemoDaemon:
    """Runs within ``with``; its directories are removed unless it has failed."""

    def __init__(self, size: str | None) -> None:
        self._size = size
        self._home = Path(tempfile.mkdtemp(prefix="workerd-", dir=_short_tmp()))
        self.log = self._home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []

    def __enter__(self) -> DemoDaemon:
        # Settings of a daemon that this user really runs are not the demo's.
        for variable in [name for name in os.environ if name.startswith("WORKERD_")]:
            del os.environ[variable]
        # Our client finds the embedded broker by the same roots.
        os.environ |= {"WORKERD_STATE_DIR": f"{self._home}/state", "WORKERD_RUNTIME_DIR": f"{self._home}/run"}
        argv = [sys.executable, "-m", "workerd", "-A", APP, "--name", NAME, "start"]
        argv += ["--size", self._size] if self._size else []
        with self.log.open("wb") as log:
            # A session of its own, so that Ctrl-C reaches the demo only, which then stops the daemon.
            self._process = subprocess.Popen(
                bound_to_us(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._remember()
            self._process.terminate()
            try:
                self._process.wait(_END)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            psutil.wait_procs(self._family, _END)
        if kind is None or issubclass(kind, (KeyboardInterrupt, Ended)):
            shutil.rmtree(self._home)

    def wait_until_ready(self) -> dict[str, Any]:
        """The daemon's status, once its children take tasks."""
        client = ControlClient(control_socket(NAME))
        deadline = time.monotonic() + _BOOT
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                status = client.call("status", patience=5.0)
            except UnavailableError:
                status = {}
            if status.get("ready"):
                return status
            time.sleep(_LOOK)
        raise UnavailableError(f"the daemon was not ready within {_BOOT:.0f} s", self._told())

    def stop(self) -> list[psutil.Process]:
        """Stop it as an operator does; the processes of it that are still there.

        Errors: UnavailableError when it did not end with exit code 0.
        """
        assert self._process is not None
        self._remember()
        for _ in ControlClient(control_socket(NAME)).stream("stop"):
            continue
        code = self._process.wait(_END)
        if code != 0:
            raise UnavailableError(f"the daemon ended with exit code {code}", self._told())
        return psutil.wait_procs(self._family, _END)[1] + self._in_session()

    def _remember(self) -> None:
        assert self._process is not None
        try:
            self._family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            self._family = []

    def _in_session(self) -> list[psutil.Process]:
        """Processes of the daemon's session, which keeps those whose parents have gone."""
        assert self._process is not None
        return [one for one in psutil.process_iter() if _session(one.pid) == self._process.pid]

    def _check_alive(self) -> None:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise UnavailableError(f"the daemon ended with exit code {code} at its start", self._told())

    def _told(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return f"its log {self.log} ends with: {' | '.join(lines[-3:])}"


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _short_tmp() -> str | None:
    # A socket's path has at most 107 bytes; ours adds about 40 to the temporary directory.
    return None if len(tempfile.gettempdir()) <= 60 else "/tmp"
