"""The embedded broker with real server processes: one per data directory, whoever dies."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from tests.support.eventually import eventually
from tests.support.leaks import gone
from tests.support.miniloop import MiniLoop, MiniReaper
from workerd.clock import SystemClock
from workerd.errors import UnavailableError
from workerd.worker.embedded import EmbeddedServer, find_server
from workerd.worker.embedded.server import Role


class Driver:
    """A process around an EmbeddedServer; ``fact`` is the last line it has told."""

    def __init__(self, data_dir: Path) -> None:
        self.fact: dict[str, Any] = {}
        self._rest = b""
        argv = [sys.executable, "-m", "tests.process.embedded.driver", str(data_dir), str(data_dir / "s")]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.fact = json.loads(lines[-1]) if lines else self.fact
        return self.fact

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def data_dir(short_dir: Path) -> Path:
    path = short_dir / "_broker"
    path.mkdir(0o700)
    return path


@pytest.fixture
def drivers(data_dir: Path) -> Iterator[list[Driver]]:
    made: list[Driver] = []
    yield made
    for driver in made:
        driver.end()
    eventually(lambda: lock_is_free(data_dir))


def run(drivers: list[Driver], data_dir: Path) -> Driver:
    driver = Driver(data_dir)
    drivers.append(driver)
    eventually(driver.told)
    return driver


def lock_is_free(data_dir: Path) -> bool:
    fd = os.open(data_dir, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def ask(data_dir: Path, *words: str) -> Any:
    path = str(data_dir / "s")
    with redis.Redis(unix_socket_path=path, socket_timeout=5.0, decode_responses=True) as client:
        return client.execute_command(*words)


def servers(data_dir: Path) -> list[int]:
    """The processes that hold the lock, which only servers inherit."""
    return [pid for pid in psutil.pids() if holds(pid, data_dir)]


def holds(pid: int, data_dir: Path) -> bool:
    try:
        return any(link.readlink() == data_dir for link in Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def test_the_first_one_starts_the_server_and_the_second_one_connects(
    drivers: list[Driver], data_dir: Path
) -> None:
    first, second = run(drivers, data_dir), run(drivers, data_dir)

    assert first.fact["role"] == "supervises"
    assert second.fact == {"role": "connects", "pid": 0, "restarts": 0}
    assert not lock_is_free(data_dir)
    settings = ask(data_dir, "CONFIG", "GET", "appendonly", "maxmemory-policy", "port", "save")
    assert settings == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "save": "",
    }


def test_the_server_holds_the_lock_and_its_supervisor_does_not(drivers: list[Driver], data_dir: Path) -> None:
    first = run(drivers, data_dir)

    assert holds(first.fact["pid"], data_dir)
    assert not holds(first.process.pid, data_dir)
    assert os.getpgid(first.fact["pid"]) == first.fact["pid"]


def test_a_clean_stop_of_the_first_lets_the_second_take_over_with_the_data(
    drivers: list[Driver], data_dir: Path
) -> None:
    first, second = run(drivers, data_dir), run(drivers, data_dir)
    ask(data_dir, "SET", "key", "kept")

    assert first.end() == 0

    eventually(lambda: second.told()["role"] == "supervises")
    assert eventually(lambda: value(data_dir)) == "kept"


def value(data_dir: Path) -> Any:
    try:
        return ask(data_dir, "GET", "key")
    except (redis.ConnectionError, redis.BusyLoadingError):
        return None


def test_a_killed_supervisor_takes_its_server_along_and_another_takes_over(
    drivers: list[Driver], data_dir: Path
) -> None:
    first, second = run(drivers, data_dir), run(drivers, data_dir)
    ask(data_dir, "SET", "key", "kept")
    server = psutil.Process(first.fact["pid"])

    first.process.kill()

    eventually(lambda: gone(server))
    eventually(lambda: second.told()["role"] == "supervises")
    assert eventually(lambda: value(data_dir)) == "kept"
    assert len(servers(data_dir)) == 1


def test_a_killed_server_comes_back_with_its_data(drivers: list[Driver], data_dir: Path) -> None:
    first, second = run(drivers, data_dir), run(drivers, data_dir)
    ask(data_dir, "SET", "key", "kept")
    before = first.fact["pid"]

    os.kill(before, signal.SIGKILL)

    # Whoever is first takes the free lock: there is one server, and it has the data.
    eventually(lambda: {first.told()["pid"], second.told()["pid"]} - {0, before})
    assert eventually(lambda: value(data_dir)) == "kept"
    eventually(lambda: len(servers(data_dir)) == 1)


def test_a_stop_leaves_no_process_and_no_lock(drivers: list[Driver], data_dir: Path) -> None:
    first = run(drivers, data_dir)
    server = psutil.Process(first.fact["pid"])

    assert first.end() == 0

    assert gone(server)
    assert lock_is_free(data_dir)


def test_a_server_that_cannot_run_is_explained_with_its_last_words(data_dir: Path) -> None:
    loop = MiniLoop()
    (data_dir / "appendonlydir").write_text("not a directory")
    server = EmbeddedServer(loop, MiniReaper(loop), SystemClock(), find_server(), data_dir, data_dir / "s")
    server.start()
    try:
        with pytest.raises(UnavailableError, match=r"ended at its start: [A-Z].*append"):
            server.wait(10.0)
    finally:
        server.stop()
        loop.close()


def restarts_of(server: EmbeddedServer, loop: MiniLoop) -> int:
    loop.run_once()
    return server.restarts


def test_a_server_that_ends_again_and_again_is_tried_more_and_more_slowly(data_dir: Path) -> None:
    loop = MiniLoop()
    server = EmbeddedServer(
        loop, MiniReaper(loop), SystemClock(), Path("/bin/false"), data_dir, data_dir / "s"
    )
    server.start()
    try:
        eventually(lambda: restarts_of(server, loop) >= 4)
        assert server.role is Role.OWNER
    finally:
        server.stop()
        loop.close()
    assert lock_is_free(data_dir)
