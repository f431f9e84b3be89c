"""A link that is opened in the loop: every kind of server, and those that do not answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.process.transport.test_redis_link import ManyDoors
from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from workerd.errors import UnavailableError
from workerd.transport.address import address_of_url
from workerd.transport.redis import RedisLink
from workerd.worker.loop.hub import Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    assert not hub.readers
    assert not hub.writers
    hub.dispose()


@pytest.fixture(scope="module")
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyDoors]:
    server = ManyDoors(tmp_path_factory.mktemp("old"))
    server.start()
    yield server
    server.stop()


class Opened:
    """A link that is being opened, and what it told."""

    def __init__(self, hub: Hub, url: str, timeout: float = 20.0) -> None:
        self.hub = hub
        self.lost: list[str] = []
        self.ups = 0
        self.longest = 0.0  # seconds that one turn of the loop has taken
        self.link = RedisLink(hub, address_of_url(url), on_lost=self.lost.append)
        self.link.open(timeout, self._count)

    def _count(self) -> None:
        self.ups += 1
        assert self.link.up

    def turn(self) -> bool:
        began = time.monotonic()
        timer = self.hub.call_later(0.01, lambda: None)
        self.hub.turn()
        timer.cancel()
        self.longest = max(self.longest, time.monotonic() - began)
        return True

    def until_up(self) -> None:
        eventually(lambda: self.turn() and self.ups, every=0.0)
        assert not self.lost

    def until_lost(self) -> str:
        eventually(lambda: self.turn() and self.lost, every=0.0)
        assert not self.ups
        assert not self.link.up
        return self.lost[0]

    def ask(self, *words: str) -> object:
        answers: list[object] = []
        self.link.send([words], answers.extend)
        eventually(lambda: self.turn() and answers, every=0.0)
        return answers[0]


def test_it_is_up_once_the_server_has_taken_it_in(hub: Hub, redis_url: str) -> None:
    opened = Opened(hub, f"{redis_url.rpartition('/')[0]}/3")
    assert not opened.link.up
    opened.until_up()
    assert opened.link.protocol == 3
    told = str(opened.ask("CLIENT", "INFO"))
    assert " db=3 " in told and "name=workerd " in told
    opened.link.close()


@pytest.mark.parametrize("door", ["url", "tls_url", "socket_url"])
def test_every_kind_of_connection(hub: Hub, old_server: ManyDoors, door: str) -> None:
    opened = Opened(hub, getattr(old_server, door))
    opened.until_up()
    assert opened.link.protocol == 2  # this server has no HELLO
    assert f" db={opened.link.address.db} " in str(opened.ask("CLIENT", "INFO"))
    opened.link.close()


def test_a_user_and_a_password_are_told_in_both_protocols(
    hub: Hub, redis_server: RedisServer, redis_url: str, old_server: ManyDoors
) -> None:
    for server, protocol in ((redis_server, 3), (old_server, 2)):
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all")
            opened = Opened(hub, server.url.replace("redis://", "redis://ann:secret@"))
            opened.until_up()
            assert opened.link.protocol == protocol
            assert opened.ask("ACL", "WHOAMI") == b"ann"
            opened.link.close()
            client.execute_command("ACL", "DELUSER", "ann")


def test_a_wrong_password_is_told_without_it(hub: Hub, redis_url: str) -> None:
    reason = Opened(hub, redis_url.replace("redis://", "redis://ann:secret@")).until_lost()
    assert "WRONGPASS" in reason
    assert "secret" not in reason


def test_a_database_that_is_not_there_is_told(hub: Hub, redis_url: str) -> None:
    assert "out of range" in Opened(hub, f"{redis_url.rpartition('/')[0]}/4000").until_lost()


def test_a_port_at_which_nothing_listens_is_told(hub: Hub) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        reason = Opened(hub, f"redis://127.0.0.1:{taken.getsockname()[1]}/0").until_lost()
    assert "Connection refused" in reason


def test_the_next_address_of_a_host_is_tried(
    hub: Hub, redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/nonexistent")
    second = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", redis_server.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [first, second])
    opened = Opened(hub, redis_url)
    opened.until_up()
    opened.link.close()


def test_a_socket_that_is_not_there_is_told(hub: Hub, short_dir: object) -> None:
    assert "No such file" in Opened(hub, f"redis+socket://{short_dir}/none").until_lost()


def test_an_unknown_host_is_told_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnavailableError, match="not known"):
        Opened(hub, "redis://nowhere.invalid/0")


def test_a_frozen_server_costs_the_loop_nothing(hub: Hub, redis_server: RedisServer, redis_url: str) -> None:
    redis_server.pause()
    try:
        opened = Opened(hub, redis_url, timeout=1.5)
        assert "no answer within 1.5 s" in opened.until_lost()
    finally:
        redis_server.resume()
    assert opened.longest < 1.0  # it would be the timeout
    opened.turn()
    assert len(opened.lost) == 1


def test_a_server_that_speaks_something_else_is_told(hub: Hub) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        opened = Opened(hub, f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        opened.turn()
        with listener.accept()[0] as peer:
            peer.sendall(b"SSH-2.0-OpenSSH\r\n")
            assert "does not speak RESP" in opened.until_lost()


def test_closing_while_it_opens_is_silent(hub: Hub, redis_url: str) -> None:
    for turns in (0, 1, 2):
        opened = Opened(hub, redis_url)
        for _ in range(turns):
            opened.turn()
        opened.link.close()
        opened.link.close()
        ups = opened.ups
        opened.turn()
        assert (opened.ups, opened.lost) == (ups, [])
