"""What a service manager hears, over a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerd.worker.service.notifier import MOST_WAITING, Notifier, joined, usec


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(str(tmp_path / "notify"))
    yield found
    found.socket.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    found = Notifier({"NOTIFY_SOCKET": manager.socket.getsockname()})
    yield found
    found.close()


def test_words_arrive_together_and_the_same_status_once(manager: Manager, notifier: Notifier) -> None:
    notifier.tell("READY=1", status="running: 2 children\nand more")
    notifier.tell(status="running: 2 children\nand more")
    notifier.tell("WATCHDOG=1", status="running: 1 child")
    assert manager.heard() == [
        "READY=1\nSTATUS=running: 2 children and more",
        "WATCHDOG=1\nSTATUS=running: 1 child",
    ]


def test_what_finds_no_room_comes_before_the_next_word(manager: Manager, notifier: Notifier) -> None:
    told = 0
    while len(notifier._waiting) < 3:
        notifier.tell(f"STATUS={told}")
        told += 1
    heard = manager.heard()
    notifier.tell("READY=1")
    assert [*heard, *manager.heard()] == [*(f"STATUS={number}" for number in range(told)), "READY=1"]


def test_of_what_finds_no_room_for_long_the_newest_is_kept(manager: Manager, notifier: Notifier) -> None:
    while not notifier._waiting:
        notifier.tell("STATUS=early")
    for number in range(2 * MOST_WAITING):
        notifier.tell(f"STATUS={number}")
    heard = []
    while notifier._waiting:  # a socket may have room for fewer than wait (net.unix.max_dgram_qlen)
        heard += manager.heard()
        notifier.tell()
    assert [*heard, *manager.heard()][-1] == f"STATUS={2 * MOST_WAITING - 1}"


def test_an_abstract_address_is_understood() -> None:
    manager = Manager(f"\0workerd-test-{os.getpid()}")
    notifier = Notifier({"NOTIFY_SOCKET": f"@workerd-test-{os.getpid()}"})
    notifier.tell("READY=1")
    assert manager.heard() == ["READY=1"]
    manager.socket.close()
    notifier.tell("WATCHDOG=1")
    assert not notifier.listening


def test_a_manager_that_is_gone_is_told_of_once(
    manager: Manager, notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    manager.socket.close()
    notifier.tell("READY=1")
    notifier.tell("READY=1")
    assert [record.message for record in caplog.records] == [
        "The service manager cannot be told anything any more: [Errno 111] Connection refused"
    ]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_one_that_was_set_for_this_process(
    variables: dict[str, str], seconds: float | None
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/nowhere", **variables})
    assert notifier.watchdog == seconds
    notifier.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
def test_without_an_address_that_is_known_nobody_listens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    notifier.tell("READY=1")
    assert (notifier.listening, notifier.watchdog) == (False, None)


def test_the_variables_are_nobodys_else_and_come_back_for_the_next_image() -> None:
    variables = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "PATH": "/bin"}
    notifier = Notifier(variables)
    assert variables == {"PATH": "/bin"}
    notifier.give_back(variables)
    assert variables == {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "PATH": "/bin"}
    notifier.close()


def test_words() -> None:
    assert usec("EXTEND_TIMEOUT_USEC", 15.0) == "EXTEND_TIMEOUT_USEC=15000000"
    assert joined(("a", "", "b")) == "a; b"
