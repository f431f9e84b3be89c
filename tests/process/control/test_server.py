"""The control socket with real clients: polite ones, slow ones and broken ones."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.control.served import Served
from tests.support.eventually import eventually
from tests.support.miniloop import MiniLoop
from tests.unit.control.fakes import FakeDaemon
from workerd.control import connection, server
from workerd.control.client import AnswerError, ControlClient, HungUpError
from workerd.control.commands import builtin_commands
from workerd.control.peer import Peer
from workerd.control.server import ControlServer
from workerd.errors import ExitCode, PermissionDeniedError, TakenError, UnavailableError


@pytest.fixture
def path(short_dir: Path) -> Path:
    (short_dir / "main").mkdir()
    return short_dir / "main" / "control.sock"


@pytest.fixture
def served(path: Path) -> Iterator[Served]:
    one = Served(path)
    one.start()
    yield one
    one.end()


@pytest.fixture
def raw(path: Path, served: Served) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20.0)
        sock.connect(os.fspath(path))
        yield sock


def read_line(sock: socket.socket) -> Any:
    line = b""
    while not line.endswith(b"\n"):
        data = sock.recv(65536)
        if not data:
            return line
        line += data
    return json.loads(line)


def test_a_client_is_answered_and_the_socket_is_for_user_and_group(served: Served, path: Path) -> None:
    assert ControlClient(path).call("ping")["pid"] == os.getpid()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_stream_gives_its_facts_and_then_its_answer(served: Served, path: Path) -> None:
    stream = ControlClient(path).stream("stop", patience=20.0, now=False)
    facts = iter(stream)
    assert next(facts)["event"] == "stopping"

    served.tell(event="draining", waiting_for=[], seconds_left=1.0)
    served.tell(event="stopped", code=0)

    assert [fact["event"] for fact in facts] == ["draining"]
    assert stream.value["code"] == 0


def test_an_error_keeps_its_hint_and_its_exit_code(served: Served, path: Path) -> None:
    with pytest.raises(AnswerError) as caught:
        ControlClient(path).call("scale", spec="many")

    assert caught.value.exit_code is ExitCode.USAGE
    assert "write 8, +2, -1 or 2-8" in caught.value.hint


def test_a_line_that_comes_in_parts_and_two_in_one_write_are_answered(raw: socket.socket) -> None:
    raw.sendall(b'{"command": ')
    raw.sendall(b'"ping"}\n{"command": "status"}\n')

    lines = raw.makefile("rb")
    assert json.loads(lines.readline())["value"]["pid"] == os.getpid()
    assert json.loads(lines.readline())["value"]["state"] == "running"


def test_a_client_that_has_closed_its_sending_half_still_gets_its_answer(raw: socket.socket) -> None:
    raw.sendall(b'{"command": "ping"}\n')
    raw.shutdown(socket.SHUT_WR)

    assert read_line(raw)["ok"]
    assert raw.recv(1) == b""


@pytest.mark.parametrize("line", [b"hello", b"[]", b'{"command": 1}', b'{"args": {}}', b"\xff\xfe", b""])
def test_a_malformed_line_is_answered_and_the_next_one_too(raw: socket.socket, line: bytes) -> None:
    raw.sendall(line + b"\n")
    assert read_line(raw)["code"] == ExitCode.USAGE
    raw.sendall(b'{"command": "ping"}\n')
    assert read_line(raw)["ok"]


def test_a_line_of_nearly_a_megabyte_is_read(raw: socket.socket) -> None:
    raw.sendall(json.dumps({"command": "scale", "args": {"spec": "9" * 1_000_000}}).encode() + b"\n")

    assert "cannot be read" in read_line(raw)["error"]


def test_a_longer_line_is_refused_and_its_client_cut_off(raw: socket.socket) -> None:
    answer = {}
    try:
        raw.sendall(b"x" * (connection.MAX_LINE + 70_000))
        answer = read_line(raw)
    except ConnectionError:
        return  # cut off while it was still sending
    assert answer["code"] == ExitCode.USAGE


def test_a_client_that_reads_nothing_is_cut_off_and_others_go_on(
    served: Served, raw: socket.socket, path: Path
) -> None:
    raw.sendall(b'{"command": "stop", "stream": true}\n')
    eventually(lambda: served.daemon.subscribers)

    while served.daemon.subscribers:
        served.tell(event="draining", waiting_for=["x" * 100_000])

    assert ControlClient(path).call("ping")["pid"]


def test_a_client_that_leaves_in_the_middle_of_a_stream_is_forgotten(
    served: Served, raw: socket.socket
) -> None:
    raw.sendall(b'{"command": "stop", "stream": true}\n')
    assert read_line(raw)["event"] == "stopping"

    raw.close()

    eventually(lambda: not served.daemon.subscribers)


def test_a_client_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    served = Served(path)
    served.start()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(20.0)
            sock.connect(os.fspath(path))
            assert sock.recv(1) == b""
    finally:
        served.end()


def test_one_client_too_many_is_told_so(
    monkeypatch: pytest.MonkeyPatch, served: Served, raw: socket.socket, path: Path
) -> None:
    raw.sendall(b'{"command": "ping"}\n')
    assert read_line(raw)["ok"]
    monkeypatch.setattr(server, "MAX_CLIENTS", 1)

    with pytest.raises(AnswerError, match="clients already"):
        ControlClient(path).call("ping")


def test_a_stranger_is_refused(monkeypatch: pytest.MonkeyPatch, served: Served, path: Path) -> None:
    stranger = Peer(pid=1, uid=os.geteuid() + 1, groups=frozenset({path.stat().st_gid + 1}))
    monkeypatch.setattr(server, "peer_of", lambda sock: stranger)

    with pytest.raises(AnswerError) as caught:
        ControlClient(path).call("ping")
    assert caught.value.exit_code is ExitCode.PERMISSION


def test_root_the_same_user_and_the_group_may_ask() -> None:
    assert Peer(1, 0, frozenset()).may_ask(1000, 1000)
    assert Peer(1, 1000, frozenset()).may_ask(1000, 1000)
    assert Peer(1, 1001, frozenset({1000})).may_ask(1000, 1000)
    assert not Peer(1, 1001, frozenset({1001})).may_ask(1000, 1000)


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(os.fspath(path))
    with pytest.raises(UnavailableError, match="nothing listens at"):
        ControlClient(path).call("ping")
    served = Served(path)
    served.start()
    try:
        assert ControlClient(path).call("ping")
    finally:
        served.end()
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    loop = MiniLoop()
    with pytest.raises(TakenError, match="is not a socket"):
        ControlServer(loop, path, builtin_commands(), FakeDaemon()).start()
    loop.close()
    assert path.read_text() == "precious"


def test_a_server_may_be_started_and_closed_twice(path: Path) -> None:
    loop = MiniLoop()
    one = ControlServer(loop, path, builtin_commands(), FakeDaemon())
    for _ in range(2):
        one.start()
        one.start()
        one.close()
        one.close()
    assert loop.descriptors == 0
    loop.close()


def test_no_daemon_is_one_clear_line(path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        ControlClient(path).call("ping")

    assert str(caught.value) == (
        f"no daemon named 'main' runs (no socket at {path}); start it with `workerd -A APP start`"
    )


def test_a_daemon_of_another_name_is_started_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="start it with `workerd -A APP start --name mail`"):
        ControlClient(tmp_path / "mail" / "control.sock").call("ping")


def test_a_socket_that_this_user_may_not_open_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    def refuse(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(PermissionDeniedError, match="may not talk to the daemon 'main'"):
        ControlClient(path).call("ping")


def test_a_daemon_that_goes_without_an_answer_is_told_apart(served: Served, path: Path) -> None:
    stream = ControlClient(path).stream("reload", patience=20.0)
    eventually(lambda: served.daemon.reload_done)

    served.loop.do(served.server.close)

    with pytest.raises(HungUpError):
        list(stream)
