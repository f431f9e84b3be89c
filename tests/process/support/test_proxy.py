"""The proxy carries bytes as they are, and hurts a link in the ways that the tests ask for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.proxy import Proxy


class Echo:
    """A server that answers what it is sent, and remembers it."""

    def __init__(self) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.door.getsockname()[1]
        self.heard = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer:
            try:
                while data := peer.recv(65536):
                    self.heard += data
                    peer.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.door.shutdown(socket.SHUT_RDWR)
    echo.door.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as client:
        assert ask(client, b"hello") == b"hello"
        yield client


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return take(client, len(data))


def take(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := client.recv(count - len(found))):
        found += more
    return found


def silent(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)
    return False


def test_bytes_and_the_end_of_a_side_arrive(client: socket.socket, proxy: Proxy) -> None:
    big = bytes(range(256)) * 20_000
    sender = threading.Thread(target=client.sendall, args=(big,))
    sender.start()
    assert take(client, len(big)) == big
    sender.join()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    eventually(lambda: not proxy.links)


def test_a_cut_is_an_end_and_a_reset_is_an_error(client: socket.socket, proxy: Proxy) -> None:
    proxy.cut()
    assert client.recv(1) == b""
    with connect(proxy) as other:
        assert ask(other, b"again") == b"again"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            other.recv(1)
    assert proxy.accepted == 2


def test_a_frozen_link_is_open_and_silent_until_it_goes_on(
    client: socket.socket, proxy: Proxy, echo: Echo
) -> None:
    proxy.freeze()
    client.sendall(b"late")
    with connect(proxy) as other:
        other.sendall(b"new")
        assert silent(client) and silent(other)
        assert echo.heard == b"hello"
        proxy.resume()
        assert take(client, 4) == b"late"
        assert take(other, 3) == b"new"


def test_a_link_can_lose_the_answers_only(client: socket.socket, proxy: Proxy, echo: Echo) -> None:
    proxy.freeze("down")
    client.sendall(b" done")
    eventually(lambda: echo.heard == b"hello done")
    assert silent(client)
    proxy.cut()
    assert client.recv(1) == b""


def test_a_link_breaks_after_so_many_bytes(client: socket.socket, proxy: Proxy, echo: Echo) -> None:
    proxy.break_after(3)
    client.sendall(b"+abcdef")
    assert client.recv(1) == b""
    eventually(lambda: echo.heard == b"hello+ab")
    assert proxy.carried == len(b"hello" * 2 + b"+ab")


def test_new_connections_are_refused_and_old_ones_go_on(client: socket.socket, proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert ask(client, b"still") == b"still"
    proxy.resume()
    with connect(proxy) as other:
        assert ask(other, b"again") == b"again"


def test_a_slow_link_takes_its_time(client: socket.socket, proxy: Proxy) -> None:
    proxy.slow(delay=0.2)
    began = time.monotonic()
    assert ask(client, b"there and back") == b"there and back"
    assert time.monotonic() - began >= 0.4
    proxy.slow(rate=20_000)
    began = time.monotonic()
    assert ask(client, b"x" * 4000) == b"x" * 4000
    assert time.monotonic() - began >= 0.4


def test_a_server_that_is_down_is_a_reset() -> None:
    with Proxy(free_port()) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)


def test_an_address_keeps_its_user_and_path(proxy: Proxy) -> None:
    assert proxy.url("amqp://u:p@127.0.0.1:1/v") == f"amqp://u:p@127.0.0.1:{proxy.port}/v"
    assert proxy.url("redis://127.0.0.1:1/0") == f"redis://127.0.0.1:{proxy.port}/0"
