"""RedisLink against real servers: every kind of connection, full sockets, and peers that go away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.eventually import eventually
from workerd.errors import UnavailableError
from workerd.transport.address import address_of_url
from workerd.transport.redis import RedisLink, ReplyError, error_in
from workerd.worker.loop.hub import Hub

BIG = bytes(8 * 1024 * 1024)  # more than the socket buffers of both sides


class ManyDoors(RedisServer):
    """A server that listens on TLS and a unix socket too, and does not know HELLO."""

    @property
    def tls_url(self) -> str:
        return (
            f"rediss://127.0.0.1:{self.port + 1}/1?ssl_ca_certs={self.home}/cert.pem&ssl_check_hostname=false"
        )

    @property
    def socket_url(self) -> str:
        return f"redis+socket://{self.home}/r.sock?virtual_host=2"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2)

    def _launch(self) -> None:
        make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem"
        subprocess.run(make.split(), cwd=self.home, check=True, capture_output=True)
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)]
        argv += ["--tls-port", str(self.port + 1), "--tls-auth-clients", "no", "--unixsocket", "r.sock"]
        argv += ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--rename-command", "HELLO", ""]
        self._process = self._run([*argv, "--save", ""])


@pytest.fixture(scope="module")
def many_doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyDoors]:
    server = ManyDoors(tmp_path_factory.mktemp("doors"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    assert not hub.readers
    assert not hub.writers
    hub.dispose()


class Peer:
    """A connected link and what it was told."""

    def __init__(self, hub: Hub, url: str, **options: Any) -> None:
        self.hub = hub
        self.lost: list[str] = []
        self.pushes: list[list[Any]] = []
        self.link = RedisLink(
            hub, address_of_url(url), on_lost=self.lost.append, on_push=self.pushes.append, **options
        )
        self.link.connect()

    def turn(self) -> bool:
        timer = self.hub.call_later(0.01, lambda: None)
        self.hub.turn()
        timer.cancel()
        return True

    def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        answers: list[list[Any]] = []
        self.link.send(commands, answers.append)
        eventually(lambda: self.turn() and answers, every=0.0)
        return answers[0]

    def wait_for_loss(self) -> str:
        eventually(lambda: self.turn() and self.lost, every=0.0)
        return self.lost[0]


@pytest.fixture
def peer(hub: Hub, redis_url: str) -> Iterator[Peer]:
    peer = Peer(hub, redis_url)
    yield peer
    peer.link.close()


def test_replies_come_in_the_order_of_the_commands_whoever_asked(peer: Peer) -> None:
    answers: list[list[Any]] = []
    for n in range(100):
        peer.link.send([("SET", "k", n), ("GET", "k")], answers.append)
    assert peer.ask(("PING",)) == [b"PONG"]
    assert answers == [[b"OK", b"%d" % n] for n in range(100)]


def test_an_error_answer_is_a_value(peer: Peer) -> None:
    replies = peer.ask(("SET", "k", "text"), ("LPUSH", "k", "x"), ("GET", "k"))
    assert replies[0] == b"OK"
    assert isinstance(replies[1], ReplyError)
    assert replies[2] == b"text"
    assert error_in(replies) is replies[1]
    assert error_in(peer.ask(("MULTI",), ("LPUSH", "k", "x"), ("EXEC",))) is not None
    assert not peer.lost


def test_full_sockets_in_both_directions(peer: Peer) -> None:
    assert peer.ask(*[("ECHO", BIG) for _ in range(4)]) == [BIG] * 4
    assert not peer.hub.writers


def test_what_is_sent_together_is_one_write(peer: Peer) -> None:
    writes: list[int] = []
    write = peer.link._write
    peer.link._write = lambda: (writes.append(1), write())  # type: ignore[assignment, func-returns-value]
    with peer.link.together():
        peer.link.send([("SET", "a", 1)])
        with peer.link.together():
            peer.link.send([("SET", "b", 2)])
        assert not writes
    assert len(writes) == 1
    assert peer.ask(("MGET", "a", "b")) == [[b"1", b"2"]]


def test_pushes_are_told_apart_from_replies(peer: Peer) -> None:
    peer.ask(("CLIENT", "TRACKING", "ON"), ("GET", "k"), ("SET", "k", 1))
    eventually(lambda: peer.turn() and peer.pushes, every=0.0)
    assert peer.pushes == [[b"invalidate", [b"k"]]]


def test_a_callback_that_raises_does_not_hold_up_the_replies_behind_it(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_replies: list[Any]) -> None:
        raise RuntimeError("a bug")

    peer.link.send([("PING",)], fail)
    assert peer.ask(("PING",)) == [b"PONG"]
    assert "a bug" in caplog.text


def test_a_callback_may_close_the_link(peer: Peer) -> None:
    after: list[Any] = []
    peer.link.send([("PING",)], lambda _replies: peer.link.close())
    peer.link.send([("PING",)], after.append)
    eventually(lambda: peer.turn() and not peer.link.up, every=0.0)
    peer.turn()
    assert not after
    assert not peer.lost


def test_a_closed_link_is_silent_and_what_it_had_sent_arrives(hub: Hub, redis_url: str, peer: Peer) -> None:
    other = Peer(hub, redis_url)
    other.link.send([("SET", "k", "last word")])
    other.link.close()
    other.link.close()
    other.link.send([("SET", "k", "too late")], lambda _replies: pytest.fail("answered after close"))
    other.link.lose("late")
    eventually(lambda: peer.ask(("GET", "k")) == [b"last word"])
    assert not other.lost


def test_a_killed_server_is_told_once(peer: Peer, redis_server: RedisServer) -> None:
    answers: list[Any] = []
    redis_server.pause()
    peer.link.send([("PING",)], answers.append)
    redis_server.kill()
    assert redis_server.url in peer.wait_for_loss()
    peer.link.send([("PING",)], answers.append)
    peer.turn()
    assert len(peer.lost) == 1
    assert not answers


def test_a_write_to_a_connection_that_is_gone_is_told_later(peer: Peer, redis_server: RedisServer) -> None:
    redis_server.drop_clients()
    for _ in range(100):
        peer.link.send([("SET", "k", BIG[:65536])])
    assert not peer.lost
    peer.wait_for_loss()


def test_a_peer_that_hangs_is_lost(hub: Hub, redis_url: str, redis_server: RedisServer) -> None:
    peer = Peer(hub, redis_url, patience=1.0)
    redis_server.pause()
    try:
        assert peer.wait_for_loss() == "no answer for 1 s"
        with pytest.raises(UnavailableError):
            RedisLink(hub, peer.link.address, on_lost=peer.lost.append).connect(timeout=0.2)
    finally:
        redis_server.resume()


def test_an_idle_peer_that_lives_is_kept(hub: Hub, redis_url: str, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.ping()
        before = client.info("commandstats")["cmdstat_ping"]["calls"]
        pings = lambda: client.info("commandstats")["cmdstat_ping"]["calls"] - before  # noqa: E731
        peer = Peer(hub, redis_url, patience=0.2)
        eventually(lambda: peer.turn() and pings() >= 3, every=0.0)
    assert not peer.lost
    peer.link.close()


def test_draining_waits_for_follow_ups_too(peer: Peer) -> None:
    answers: list[Any] = []
    peer.link.send([("ECHO", BIG)], lambda _r: peer.link.send([("ECHO", "after")], answers.append))
    peer.link.drain()
    assert answers == [[b"after"]]


def test_draining_a_server_that_hangs_gives_up(peer: Peer, redis_server: RedisServer) -> None:
    redis_server.pause()
    try:
        peer.link.send([("PING",)])
        with pytest.raises(UnavailableError, match="no answer"):
            peer.link.drain(patience=0.2)
    finally:
        redis_server.resume()


@pytest.mark.parametrize("door", ["url", "tls_url", "socket_url"])
def test_every_kind_of_connection_carries_full_sockets(hub: Hub, many_doors: ManyDoors, door: str) -> None:
    peer = Peer(hub, getattr(many_doors, door))
    assert peer.link.protocol == 2  # this server has no HELLO
    assert peer.ask(*[("ECHO", BIG) for _ in range(3)], ("PING",)) == [BIG, BIG, BIG, b"PONG"]
    number = peer.link.address.db
    assert f" db={number} ".encode() in peer.ask(("CLIENT", "INFO"))[0]
    peer.link.close()


def test_a_certificate_that_is_not_trusted_is_refused(hub: Hub, many_doors: ManyDoors) -> None:
    with pytest.raises(UnavailableError, match="certificate"):
        Peer(hub, f"rediss://127.0.0.1:{many_doors.port + 1}/0")


def test_a_wrong_password_is_told_without_it(hub: Hub, redis_url: str) -> None:
    with pytest.raises(UnavailableError, match="invalid username-password") as told:
        Peer(hub, redis_url.replace("redis://", "redis://ann:secret@"))
    assert "secret" not in str(told.value)
