"""Private brokers: Redis and RabbitMQ servers on loopback ports with data directories of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import amqp
import pytest
import redis
from kombu import Connection

from tests.support.ports import free_port
from tests.support.server import Server, program
from workerd.source.amqp.topology import DELAY_QUEUES

# Debian's wrapper on PATH insists on the system user; the package's own scripts do not.
RABBIT_BIN = Path("/usr/lib/rabbitmq/bin")

USED_BY_MANY = ("celery", "celery.dead", "video", "late", "mail", *DELAY_QUEUES)


class RedisServer(Server):
    """A Redis server that keeps its data in an append-only file."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port = free_port()
        self.options: list[str] = []
        """Of the command line, from the next start on."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def client(self) -> redis.Redis:
        """A synchronous client; close it (``with server.client() as client``)."""
        return redis.Redis("127.0.0.1", self.port, socket_timeout=5.0)

    def empty(self) -> None:
        """Nothing is in it, and it is up."""
        self.start_if_down()
        with self.client() as client:
            client.flushall()

    def drop_clients(self) -> None:
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _launch(self) -> None:
        argv = [program("redis-server", "redis-server"), "--port", str(self.port)]
        argv += ["--bind", "127.0.0.1", "--dir", str(self.home), "--save", "", "--appendonly", "yes"]
        self._process = self._run([*argv, *self.options])

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False  # not listening yet, or loading its data


class RabbitServer(Server):
    """A RabbitMQ node without plugins, and the name server (epmd) that it needs."""

    patience = 90.0

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.port, self._dist_port, self._epmd_port = free_port(), 0, 0
        self.node = f"test{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def pid(self) -> int:
        pid = self._node_pid()
        assert pid is not None, "the node does not run"
        return pid

    def _node_pid(self) -> int | None:
        """The node's own: what we started is a shell around it.  The file comes and goes with the node."""
        try:
            return int((self.home / "pid").read_text())
        except (FileNotFoundError, ValueError):  # not there, or not written yet
            return None

    def empty(self) -> None:
        """The queues that several tests use are gone, and it is up."""
        self.start_if_down()
        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in USED_BY_MANY:
                channel.queue_delete(queue)

    def drop_clients(self) -> None:
        self.ctl(
            "eval",
            # Caught: a connection may end by itself between the two.
            '[catch rabbit_networking:close_connection(C, "dropped by a test")'
            " || C <- rabbit_networking:connections()].",
        )

    def sync(self) -> None:
        """Write the queues' declarations to disk; without it a kill can lose those of the last seconds."""
        self.ctl("eval", "mnesia:sync_log().")

    def ctl(self, *words: str) -> str:
        """The output of ``rabbitmqctl``; takes seconds."""
        argv = [str(RABBIT_BIN / "rabbitmqctl"), "-n", self.node, *words]
        done = subprocess.run(
            argv, env=self._env(), cwd=self.home, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"rabbitmqctl {words[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def _launch(self) -> None:
        # New ones each time: the node insists that nothing lingers there, and no client needs them.
        self._dist_port, self._epmd_port = free_port(), free_port()
        (self.home / "plugins").write_text("[].\n")
        (self.home / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (self.home / "pid").unlink(missing_ok=True)
        server = RABBIT_BIN / "rabbitmq-server"
        if not server.exists():
            raise RuntimeError(f"{server} is missing; type: apt-get install rabbitmq-server")
        # Started by the node itself, epmd would outlive it.
        epmd = [program("epmd", "erlang-base"), "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._epmd = self._run(epmd, self._env())
        self._process = self._run([str(server)], self._env())

    def _answers(self) -> bool:
        connection = amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5, read_timeout=5)
        try:
            connection.connect()
        except (OSError, amqp.AMQPError):
            return False
        finally:
            connection.collect()
        return self._node_pid() is not None

    def _end(self, signum: int) -> None:
        try:
            super()._end(signum)
        finally:
            if self._epmd is not None:
                self._epmd.kill()
                self._epmd.wait(self.patience)
                self._epmd = None

    def _pid_to_end(self) -> int | None:
        assert self._process is not None
        if (pid := self._node_pid()) is not None:
            return pid
        try:
            self._process.wait(5.0)  # a node that is about to end has taken its file away
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # the shell, and a node not born yet
        return None

    def _env(self) -> dict[str, str]:
        home = str(self.home)
        ours = {
            "HOME": home,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/no-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        return {**os.environ, **ours}


def empty_broker(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Broker and backend for a fixture whose parameter is ``redis`` or ``rabbitmq``: up, without tasks.

    Results are on Redis.  A server that is not needed is not started.
    """
    redis_server: RedisServer = request.getfixturevalue("redis_server")
    redis_server.empty()
    if request.param == "redis":
        return redis_server.url, redis_server.url
    rabbit_server: RabbitServer = request.getfixturevalue("rabbit_server")
    rabbit_server.empty()
    return rabbit_server.url, redis_server.url
