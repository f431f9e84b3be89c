"""An unmodified Celery client: its calls run in a daemon, and it reads the results."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, WorkerLostError
from celery import Celery
from celery.exceptions import TaskRevokedError

from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def daemon(
    request: pytest.FixtureRequest, redis_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workerd]:
    broker = redis_server.url
    if request.param == "rabbitmq":
        broker = request.getfixturevalue("rabbit_server").url
    home = Path(tempfile.mkdtemp(prefix="wd-"))
    with running(home, broker=broker, backend=redis_server.url) as daemon:
        yield daemon
    shutil.rmtree(home)


@pytest.fixture
def celery(daemon: Workerd) -> Iterator[Celery]:
    app = Celery("stock", broker=daemon.broker, backend=daemon.backend, set_as_current=False)
    yield app
    app.close()


def test_args_and_kwargs(celery: Celery) -> None:
    assert celery.send_task("ledger.add", (2, 3)).get(timeout=30) == 5
    assert celery.send_task("ledger.add", kwargs={"x": "ä", "y": "b"}).get(timeout=30) == "äb"


def test_delay_of_a_task_that_the_client_declares(celery: Celery) -> None:
    @celery.task(name="ledger.add")
    def add(x: int, y: int) -> int:
        raise AssertionError("runs in the daemon")

    assert add.delay(20, 22).get(timeout=30) == 42


def test_an_exception_comes_back_as_itself(celery: Celery) -> None:
    result = celery.send_task("ledger.boom", ("no such luck",))
    with pytest.raises(ValueError, match="no such luck"):
        result.get(timeout=30)
    assert result.state == "FAILURE"
    assert "ValueError: no such luck" in result.traceback


def test_a_retry_keeps_its_id_and_ends_well(celery: Celery) -> None:
    assert celery.send_task("ledger.flaky", (2,)).get(timeout=30) == 2


def test_a_countdown_is_waited_for(celery: Celery) -> None:
    began = time.monotonic()
    celery.send_task("ledger.add", (1, 1), countdown=1.0).get(timeout=30)
    assert time.monotonic() - began >= 1.0


def test_an_expired_call_is_revoked(celery: Celery) -> None:
    result = celery.send_task("ledger.run", (99,), countdown=1.0, expires=0.2)
    eventually(lambda: result.state == "REVOKED")
    with pytest.raises(TaskRevokedError):
        result.get(timeout=5)


def test_priorities_are_taken(celery: Celery) -> None:
    results = [celery.send_task("ledger.add", (n, 0), priority=n) for n in (0, 3, 5, 9)]
    assert [result.get(timeout=30) for result in results] == [0, 3, 5, 9]


def test_an_unknown_task_fails_by_name(celery: Celery) -> None:
    result = celery.send_task("ledger.gone")
    eventually(lambda: result.state == "FAILURE")
    assert "ledger.gone" in str(result.result)


def test_a_hard_limit_of_the_message_is_kept(celery: Celery) -> None:
    result = celery.send_task("ledger.run", (98, 60.0), time_limit=1)
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        result.get(timeout=30)


def test_a_soft_limit_of_the_message_is_raised_in_the_task(celery: Celery) -> None:
    result = celery.send_task("ledger.run", (97, 30.0), soft_time_limit=1)
    with pytest.raises(SoftTimeLimitExceeded):
        result.get(timeout=30)


def test_a_terminated_task_is_revoked(celery: Celery, daemon: Workerd) -> None:
    result = celery.send_task("ledger.run", (96, 60.0))
    eventually(lambda: daemon.ran("start")[96] == 1)
    assert daemon.run("terminate", result.id).returncode == 0
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=30)
    assert result.state == "REVOKED"


def test_a_lost_task_says_how_its_process_ended(celery: Celery) -> None:
    result = celery.send_task("ledger.die", (95, 9))
    with pytest.raises(WorkerLostError, match=r"Worker exited prematurely: signal 9 \(SIGKILL\) Job: \d+\."):
        result.get(timeout=60)
