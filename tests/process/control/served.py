"""A control socket with a fake daemon behind it, in a thread of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.support.miniloop import MiniLoop
from tests.unit.control.fakes import FakeDaemon
from workerd.control.commands import builtin_commands
from workerd.control.server import ControlServer


class Served:
    """A ControlServer whose loop runs in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.daemon = FakeDaemon()
        self.loop = MiniLoop()
        self.server = ControlServer(self.loop, path, builtin_commands(), self.daemon)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.loop.run_until, args=(self._stop,))

    def start(self) -> None:
        self.server.start()
        self._thread.start()

    def tell(self, **fact: Any) -> None:
        self.loop.do(lambda: self.daemon.tell(**fact))

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self.server.close()
        assert self.loop.descriptors == 0
        self.loop.close()
