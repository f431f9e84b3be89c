"""A process that keeps an embedded server, without the rest of a daemon: ``driver.py DATA_DIR SOCKET``.

It prints a line of JSON whenever its role or the server's pid changes; TERM stops it cleanly.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path

from tests.support.miniloop import MiniLoop, MiniReaper
from workerd.clock import SystemClock
from workerd.worker.embedded import EmbeddedServer, find_server


def main(data_dir: Path, socket: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    loop = MiniLoop()
    server = EmbeddedServer(loop, MiniReaper(loop), SystemClock(), find_server(), data_dir, socket)
    server.start()
    server.wait(10.0)
    told = None
    while not stop.is_set():
        now = (server.role.value, server.pid, server.restarts)
        if now != told:
            told = now
            print(json.dumps({"role": now[0], "pid": now[1], "restarts": now[2]}), flush=True)
        loop.run_once()
    server.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
