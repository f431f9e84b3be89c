"""Settings that an app brings from Celery, seen on a daemon that serves it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from workerd import App
from workerd.errors import ExitCode
from workerd.exceptions import WorkerLostError

CONF: dict[str, Any] = {
    "worker_log_format": "%(levelname)s~%(message)s",
    "worker_task_log_format": "%(levelname)s~%(task_name)s~%(task_id)s~%(message)s",
    "worker_redirect_stdouts_level": "error",
    "worker_state_db": "/var/state",
    "worker_prefetch_multiplier": 1,
    "worker_deduplicate_successful_tasks": True,
    "task_annotations": {"ledger.die": {"reject_on_worker_lost": False}},
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "broker_connection_retry": False,
    "broker_connection_retry_on_startup": True,
}
LATER = """
from tests.support.apps.ledger import app, note

@app.task(name="ledger.speak")
def speak():
    print("spoken")
"""


@pytest.fixture(scope="module")
def short_home() -> Iterator[Path]:
    """As ``short_dir``, for all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="wd-", ignore_cleanup_errors=True) as home:
        yield Path(home)


@pytest.fixture(scope="module")
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def daemon(short_home: Path, redis_server: RedisServer, proxy: Proxy) -> Iterator[Workerd]:
    home = short_home
    (home / "speaking.py").write_text(LATER)
    with ExitStack() as stack:
        env = {"LEDGER_CONF": json.dumps(CONF), "PYTHONPATH": f"{Workerd(home).env['PYTHONPATH']}:{home}"}
        url = redis_server.url
        options: dict[str, Any] = {"app": "speaking", "broker": proxy.url(url), "backend": url, "size": "1"}
        yield stack.enter_context(running(home, code=ExitCode.UNAVAILABLE, env=env, **options))


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> Iterator[App]:
    with App("client", broker=redis_server.url, backend=redis_server.url) as app:
        yield app


def test_the_log_has_the_formats_and_levels_of_the_app(daemon: Workerd, client: App) -> None:
    sent = client.send_task("ledger.speak")
    sent.get(timeout=30)
    eventually(lambda: daemon.logged(f"(?m)^ERROR~ledger.speak~{sent.id}~spoken$"))
    assert daemon.logged(r"(?m)^INFO~.*ready\.$")
    assert daemon.logged("app.conf.worker_state_db has no effect here: state is always kept")


def test_a_task_that_must_not_run_again_fails_with_its_child(daemon: Workerd, client: App) -> None:
    with pytest.raises(WorkerLostError):
        client.send_task("ledger.die", (7, 9)).get(timeout=30)
    assert daemon.logged("reject_on_worker_lost=False, so it does not run again")
    assert daemon.ran("start")[7] == 1
    assert client.send_task("ledger.run", (8,)).get(timeout=30) == 8


def test_what_has_succeeded_already_does_not_run_again(
    daemon: Workerd, client: App, redis_server: RedisServer
) -> None:
    gate = daemon.home / "gate.first"
    held = client.send_task("ledger.hold", (20, str(gate)))
    eventually(lambda: daemon.ran("start")[20] == 1)
    sent = client.send_task("ledger.run", (21,))
    with redis_server.client() as redis:  # as if another node had taken it, and died after its success
        [raw] = redis.lrange("celery", 0, -1)
        message = json.loads(raw)
        message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
        meta = {"status": "SUCCESS", "result": 21, "traceback": None, "children": [], "task_id": sent.id}
        redis.set(f"celery-task-meta-{sent.id}", json.dumps(meta))
        redis.lset("celery", 0, json.dumps(message))
    gate.touch()
    assert held.get(timeout=30) == 20
    eventually(lambda: daemon.logged(rf"{sent.id}\W+has succeeded before; it does not run again"))
    assert client.send_task("ledger.run", (22,)).get(timeout=30) == 22
    assert daemon.ran("start")[21] == 0


def test_a_lost_link_cuts_off_what_runs_and_ends_a_daemon_that_must_not_try_again(
    daemon: Workerd, client: App, proxy: Proxy
) -> None:
    client.send_task("ledger.tidy", (30,))
    eventually(lambda: daemon.ran("start")[30] == 1)
    proxy.refuse()
    proxy.reset()
    assert daemon.wait() == ExitCode.UNAVAILABLE
    assert daemon.ran("finally")[30] == 1
    assert daemon.logged("broker_connection_retry is False: leave the setting out")
