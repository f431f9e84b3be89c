"""What a daemon tells the service manager that has started it, in the order in which things happen."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.ports import free_port


class Manager:
    """Listens as systemd does, and keeps what it has heard."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}
        self.lines: list[str] = []

    def heard(self, *words: str) -> bool:
        """Each of these lines has come, in this order, since what was asked for last."""
        while True:
            try:
                self.lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                break
        rest = iter(self.lines)
        if not all(any(line.startswith(word) for line in rest) for word in words):
            return False
        self.lines = list(rest)
        return True


@pytest.fixture
def manager(short_dir: Path) -> Iterator[Manager]:
    found = Manager(short_dir / "notify")
    yield found
    found.socket.close()


def test_a_life_as_its_manager_hears_it(start, manager: Manager, redis_url: str, short_dir: Path) -> None:  # type: ignore[no-untyped-def]
    daemon: Workerd = start(broker=redis_url, env=manager.env)
    eventually(lambda: manager.heard("STATUS=importing ", "STATUS=booting: ", "READY=1", "WATCHDOG=1"))
    daemon.kill(signal.SIGHUP)
    eventually(lambda: manager.heard("RELOADING=1", "MONOTONIC_USEC=", "READY=1", "WATCHDOG=1"))
    # In place: the manager sees one service that was away for a moment.
    daemon.kill(signal.SIGUSR2)
    eventually(
        lambda: manager.heard("RELOADING=1", "WATCHDOG=1", "STATUS=importing ", "READY=1", "WATCHDOG=1"),
        within=40,
    )
    gate = short_dir / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.status()["tasks"]["running"])
    daemon.kill(signal.SIGTERM)
    # As long as the loop gets on with the stop, it asks for more time.
    more = "EXTEND_TIMEOUT_USEC=15000000"
    eventually(lambda: manager.heard("STOPPING=1", more, more))
    gate.touch()
    assert daemon.wait() == 0


def test_without_a_broker_it_is_up_and_says_for_what_it_waits(make, manager: Manager) -> None:  # type: ignore[no-untyped-def]
    daemon: Workerd = make(broker=f"redis://127.0.0.1:{free_port()}/0")
    daemon.start(ready=False, env=manager.env)
    eventually(
        lambda: manager.heard(
            "READY=1", "STATUS=running: 2 children, 0 busy; waiting for the broker: ", "WATCHDOG=1"
        )
    )
    live, ready = daemon.run("health", "--live"), daemon.run("health")
    assert (live.returncode, live.stdout) == (0, "live\n")
    assert ready.returncode == 1
    assert ready.stdout.startswith("not ready: no link to the broker: ")
    daemon.kill(signal.SIGTERM)
    eventually(lambda: manager.heard("STOPPING=1"))
    assert daemon.wait() == 0
    assert daemon.run("health").returncode == 69


def test_the_reason_of_a_failed_start_is_in_the_status(make, manager: Manager) -> None:  # type: ignore[no-untyped-def]
    daemon: Workerd = make(app="no_such_app")
    daemon.start(ready=False, env=manager.env)
    assert daemon.wait() == 78
    assert manager.heard("STATUS=", "STATUS=there is no module 'no_such_app'")
