"""The program that serves health and metrics, on addresses of every kind."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import eventually
from workerd.clock import SystemClock
from workerd.worker.beside import SideProgram
from workerd.worker.loop.hub import Hub
from workerd_pool import Reaper


class Rig:
    """The program on ``address``, in a hub of its own; no daemon is behind it."""

    def __init__(self, address: str, home: Path) -> None:
        self.hub = Hub()
        self.heard: list[dict[str, Any]] = []
        self.reaper = Reaper(self.hub)
        argv = ["-m", "workerd.worker.http.program", address, str(home / "control.sock")]
        clock, heard = SystemClock(), self.heard.append
        self.program = SideProgram(self.hub, self.reaper, clock, name="program", argv=argv, heard=heard)
        self.program.start()

    def turn(self) -> None:
        alarm = self.hub.call_later(0.05, lambda: None)
        self.hub.turn()
        alarm.cancel()

    def listens(self) -> str:
        """Where, once it does."""
        eventually(lambda: self.turn() or self.heard)
        return str(self.heard[-1]["url"])

    def end(self) -> None:
        self.program.stop()
        self.reaper.close()
        self.hub.dispose()


Begin = Callable[[str], Rig]


@pytest.fixture
def begin(short_dir: Path) -> Iterator[Begin]:
    with ExitStack() as stack:

        def one(address: str) -> Rig:
            rig = Rig(address, short_dir)
            stack.callback(rig.end)
            return rig

        yield one


def get(sock: socket.socket, words: bytes = b"GET /livez HTTP/1.0\r\n\r\n") -> str:
    with sock:
        sock.settimeout(20)
        sock.sendall(words)
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def test_a_port_that_is_taken_is_told_once_and_had_when_it_is_free(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rig = begin(f"127.0.0.1:{port}")
        eventually(lambda: rig.turn() or rig.program.restarts >= 2)
        reason = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        assert rig.program.problem == reason
        assert [record.getMessage() for record in caplog.records if reason in record.getMessage()] == [
            f"The program {reason}; starting again in 0.0 s"
        ]
    assert rig.listens() == f"http://127.0.0.1:{port}"


def test_a_unix_socket_is_for_the_daemons_user_and_group_alone(begin: Begin, short_dir: Path) -> None:
    path = short_dir / "http.sock"
    first = begin(f"unix:{path}")
    assert first.listens() == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    # Nobody is behind it: not live, and the reason is known.
    answer = get(unix(path))
    assert answer.startswith("HTTP/1.0 503 ")
    assert "not live: no daemon named" in answer
    assert "workerd_up 0.0" in get(unix(path), b"GET /metrics HTTP/1.0\r\n\r\n")
    # Killed, it leaves its socket; the next one takes the place.
    first.heard.clear()
    os.kill(first.program.pid, 9)
    assert first.listens() == f"unix:{path}"
    # One that is alive is not robbed.
    second = begin(f"unix:{path}")
    eventually(lambda: second.turn() or second.program.problem)
    assert "Address already in use" in second.program.problem
    assert get(unix(path)).startswith("HTTP/1.0 503 ")


def test_what_is_no_request_costs_nobody_anything(begin: Begin) -> None:
    rig = begin("127.0.0.1:0")
    port = int(rig.listens().rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
    for words in (b"\x16\x03\x01\r\n\r\n", b"POST /livez HTTP/1.0\r\n\r\n", b"GET " + b"a" * 70000 + b"\r\n"):
        sock = socket.create_connection(("127.0.0.1", port))
        with sock:
            sock.settimeout(20)
            sock.sendall(words)
            assert not sock.recv(100).startswith(b"HTTP/1.0 200")
    assert "404" in get(socket.create_connection(("127.0.0.1", port)), b"GET /etc/passwd HTTP/1.0\r\n\r\n")
    for sock in silent:
        sock.close()
