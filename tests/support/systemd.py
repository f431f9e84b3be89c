"""A real systemd in namespaces of its own, for the tests of units.  Needs root."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from tests.support.eventually import eventually

SCRIPT = Path(__file__).with_name("systemd_box.sh")


class SystemdBox:
    """``directory`` is for its log; ``root`` is its file system as the machine sees it.

    What tests need of the machine's temporary directories must be ``kept``: it has its own.
    """

    def __init__(self, directory: Path, *kept: Path) -> None:
        self.directory, self._kept = directory, kept
        self._process: subprocess.Popen[bytes] | None = None
        self.pid1 = 0

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid1}/root")

    def start(self) -> SystemdBox:
        command = [str(SCRIPT), str(self.directory), *map(str, self._kept)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        told = self.directory / "pid1"
        eventually(told.exists, within=30)
        self.pid1 = int(told.read_text())
        eventually(lambda: self.systemctl("is-system-running").stdout.strip() in ("running", "degraded"), 60)
        return self

    def run(self, *words: str, within: float = 60.0) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        command = ["nsenter", "-t", str(self.pid1), "-m", "-p", "-u", "-i", "-C", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *words)

    def show(self, unit: str, fact: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "-p", fact, unit).stdout.strip()

    def write(self, path: str, text: str) -> None:
        """A file inside."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stop(self) -> None:
        if self._process is not None:
            self.systemctl("stop", "workerd.slice")
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
            self._process = None
