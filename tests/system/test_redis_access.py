"""Ways to a Redis: TLS with a certificate of one's own, a user with few rights."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "redis.md"


def works(daemon: Workerd) -> None:
    """It takes a task, stores its result, gives back what it held, and leaves."""
    with daemon.client() as app:
        assert app.send_task("ledger.add", (2, 3)).get(timeout=30) == 5
        waiting = app.send_task("ledger.run", (1,), countdown=30)
        eventually(lambda: daemon.status()["tasks"]["scheduled"] == 1)
        assert waiting.state == "PENDING"
    assert daemon.stop() == 0
    assert not daemon.logged("ERROR|lost")


class TlsServer(RedisServer):
    """Speaks TLS alone, with a certificate that it has signed itself."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.key, self.certificate = home / "key.pem", home / "cert.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", self.key]
        argv += ["-out", self.certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(argv, check=True, capture_output=True)
        self.options = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
        self.options += ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]

    @property
    def url(self) -> str:
        options = f"ssl_cert_reqs=required&ssl_ca_certs={self.certificate}"
        return f"rediss://127.0.0.1:{self.port}/0?{options}"

    def client(self) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.port, ssl=True, ssl_ca_certs=str(self.certificate))


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsServer]:
    server = TlsServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def test_tls_with_a_certificate_of_ones_own(start: Start, tls: TlsServer) -> None:
    daemon = start(broker=tls.url, backend=tls.url)
    works(daemon)
    with tls.client() as client:
        assert client.llen("celery") == 1


@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
def test_a_certificate_that_nobody_vouches_for_is_told_and_not_used(
    make: Callable[..., Workerd], tls: TlsServer, scheme: str
) -> None:
    # For the handshake it does not matter what would be spoken after it.
    daemon = make(broker=f"{scheme}://127.0.0.1:{tls.port}/0")
    daemon.start(ready=False)
    eventually(lambda: daemon.logged("No link to the broker: .*CERTIFICATE_VERIFY_FAILED"))
    assert daemon.status()["link"]["state"] != "up"
    assert daemon.stop() == 0


def test_the_check_can_be_switched_off(start: Start, tls: TlsServer) -> None:
    url = f"rediss://127.0.0.1:{tls.port}/0?ssl_cert_reqs=none"
    works(start(broker=url, backend=url))


def test_the_check_can_be_switched_off_for_rabbitmq(make: Callable[..., Workerd], tls: TlsServer) -> None:
    daemon = make(broker=f"amqps://127.0.0.1:{tls.port}//?ssl_cert_reqs=none")
    daemon.start(ready=False)
    shown = eventually(daemon.degraded)  # this server speaks no AMQP
    assert "cannot connect to amqps://" in shown
    assert "TLS" not in shown
    assert daemon.stop() == 0


def rights() -> list[str]:
    """The rights that the document tells an operator to give."""
    [line] = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("ACL SETUSER workerd")]
    return line.split()[3:]


def test_a_user_with_the_rights_of_the_document(
    start: Start, redis_url: str, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "LOG", "RESET")  # others use this server too
        client.execute_command("ACL", "SETUSER", "workerd", *rights())
        try:
            url = redis_url.replace("redis://", "redis://workerd:SECRET@")
            env = {"WORKERD_LEASE": "1s"}
            dead = start(home="dead", name="dead", broker=url, backend=url, env=env)
            with dead.client() as app:
                app.send_task("ledger.hold", (1, "gate"), ignore_result=True)
                eventually(lambda: dead.ran("start")[1] == 1)
                dead.kill(signal.SIGKILL)
                dead.wait()
            daemon = start(home="d", broker=url, backend=url, env=env)
            eventually(lambda: daemon.ran("start")[1] == 1)
            (daemon.home / "gate").touch()
            works(daemon)
            denied = [line["reason"] + " " + line["object"] for line in client.acl_log()]
            assert denied == []
        finally:
            client.execute_command("ACL", "DELUSER", "workerd")
            client.execute_command("ACL", "LOG", "RESET")


def test_a_user_without_a_right_is_told_which(
    make: Callable[..., Workerd], redis_url: str, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "workerd", *rights(), "-evalsha", "-eval")
        try:
            daemon = make(broker=redis_url.replace("redis://", "redis://workerd:SECRET@"))
            daemon.start(ready=False)
            eventually(lambda: "DEGRADED" in daemon.run("status").stdout)
            shown = daemon.run("status").stdout
            assert "does not permit this user all that is needed (NOPERM" in shown
            assert "evalsha" in shown
            assert "SECRET" not in shown + daemon.text()
            client.execute_command("ACL", "SETUSER", "workerd", "+eval", "+evalsha")
            daemon.wait_ready()
            assert daemon.stop() == 0
        finally:
            client.execute_command("ACL", "DELUSER", "workerd")
            client.execute_command("ACL", "LOG", "RESET")


def test_a_wrong_password_is_told_and_tried_again(
    make: Callable[..., Workerd], redis_url: str, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "workerd", *rights())
        try:
            daemon = make(broker=redis_url.replace("redis://", "redis://workerd:ANOTHER@"))
            daemon.start(ready=False)
            shown = eventually(daemon.degraded)
            assert "does not know this user with this password (invalid username-password pair" in shown
            assert "ANOTHER" not in shown + daemon.text()
            client.execute_command("ACL", "SETUSER", "workerd", ">ANOTHER")
            daemon.wait_ready()
            assert daemon.degraded() == ""
            told = "No link to the broker: .* does not know this user with this password"
            assert len(re.findall(told, daemon.text())) == 1
            client.execute_command("ACL", "SETUSER", "workerd", "resetpass", ">THIRD")
            redis_server.drop_clients()
            # Of an outage that has begun otherwise, a refusal is told too.
            eventually(lambda: len(re.findall(told, daemon.text())) == 2)
            assert daemon.stop() == 0
        finally:
            client.execute_command("ACL", "DELUSER", "workerd")
            client.execute_command("ACL", "LOG", "RESET")
