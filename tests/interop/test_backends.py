"""Results as messages and as files: between a daemon and Celery's clients, and a Celery worker and ours."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError

from tests.interop.our_app import make_app
from tests.interop.stock import stock_worker
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from workerd import App
from workerd.exceptions import RemoteError


class Place(NamedTuple):
    """A broker, and a backend beside it; ``home`` is short."""

    broker: str
    backend: str
    home: Path


@pytest.fixture(scope="module", params=["rpc-redis", "rpc-rabbitmq", "file"])
def place(request: pytest.FixtureRequest, redis_server: Any) -> Iterator[Place]:
    home = Path(tempfile.mkdtemp(prefix="wd-"))
    broker, backend = redis_server.url, "rpc://"
    if request.param == "rpc-rabbitmq":
        broker = request.getfixturevalue("rabbit_server").url
    elif request.param == "file":
        (home / "results").mkdir()
        backend = f"file://{home}/results"
    yield Place(broker, backend, home)
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def daemon(place: Place) -> Iterator[Workerd]:
    env = {"LEDGER_CONF": json.dumps({"task_track_started": True})}
    with running(place.home, broker=place.broker, backend=place.backend, env=env) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def worker(place: Place) -> Iterator[None]:
    extra = {"STOCK_QUEUE": "stock", "STOCK_TRACK_STARTED": "1"}
    with stock_worker(place.home / "stock", place.broker, place.backend, **extra):
        yield


@pytest.fixture
def celery(daemon: Workerd, place: Place) -> Iterator[Celery]:
    app = Celery("stock", broker=place.broker, backend=place.backend, set_as_current=False)
    yield app
    if place.backend == "rpc://":
        app.backend.result_consumer.stop()
    app.close()


@pytest.fixture
def ours(place: Place) -> Iterator[App]:
    with make_app(place.broker, place.backend) as app:
        yield app


def test_a_celery_client_reads_the_results_of_the_daemon(celery: Celery) -> None:
    results = [celery.send_task("ledger.add", (number, 1)) for number in range(10)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 11))
    failed = celery.send_task("ledger.boom", ("kaput",))
    with pytest.raises(ValueError, match="kaput"):
        failed.get(timeout=30)
    assert "ValueError: kaput" in failed.traceback
    assert celery.send_task("ledger.flaky", (1,)).get(timeout=30) == 1


def test_a_celery_client_hears_of_what_never_ran(celery: Celery) -> None:
    with pytest.raises(Exception, match=r"ledger\.gone"):
        celery.send_task("ledger.gone").get(timeout=30)
    with pytest.raises(TaskRevokedError, match="expired"):
        celery.send_task("ledger.run", (99,), countdown=1.0, expires=0.2).get(timeout=30)


def test_a_celery_client_follows_the_states_of_the_daemon(celery: Celery, tmp_path: Path) -> None:
    sent = celery.send_task("ledger.hold", (1, str(tmp_path / "gate")))
    eventually(lambda: sent.state == "STARTED")
    assert sent.info["hostname"].startswith("main@")
    (tmp_path / "gate").touch()
    assert sent.get(timeout=30) == 1


def test_what_a_task_sends_answers_to_who_has_called_the_task(daemon: Workerd, ours: App) -> None:
    sent = ours.send_task("ledger.spawn", (7,))
    child = sent.get(timeout=30)
    assert [result.id for result in sent.children] == [child]
    assert sent.children[0].get(timeout=30) == 7


def test_our_client_reads_the_results_of_the_daemon(daemon: Workerd, ours: App) -> None:
    results = [ours.send_task("ledger.add", (number, 1)) for number in range(300)]
    ended = dict(ours.backend.wait_for_many([result.id for result in results], timeout=30))
    assert [ended[result.id]["result"] for result in results] == list(range(1, 301))
    with pytest.raises(ValueError, match="kaput"):
        ours.send_task("ledger.boom", ("kaput",)).get(timeout=30)


def test_our_client_reads_the_results_of_a_celery_worker(worker: None, ours: App) -> None:
    assert ours.send_task("proj.add", (2, 3), queue="stock").get(timeout=30) == 5
    with pytest.raises(ValueError, match="kaput") as caught:
        ours.send_task("proj.boom", ("kaput",), queue="stock").get(timeout=30)
    assert caught.value.args == ("kaput", 7)
    assert ours.send_task("proj.flaky", queue="stock").get(timeout=30) == 2
    with pytest.raises(RemoteError) as unknown:
        ours.send_task("proj.unknown", queue="stock").get(timeout=30)
    assert type(unknown.value).__name__ == "NeverImported"


def test_our_client_follows_the_states_of_a_celery_worker(worker: None, ours: App, tmp_path: Path) -> None:
    sent = ours.send_task("ledger.hold", (1, str(tmp_path / "gate")), queue="stock")
    eventually(lambda: sent.state == "STARTED")
    assert sent.info["hostname"]
    (tmp_path / "gate").touch()
    assert sent.get(timeout=30) == "celery 1"
    spawned = ours.send_task("proj.spawn", queue="stock")
    child = spawned.get(timeout=30)
    assert [result.id for result in spawned.children] == [child]


def test_what_is_stored_is_what_celery_stores(place: Place, daemon: Workerd, worker: None, ours: App) -> None:
    """Field by field, of one task that both run."""
    ours_meta, theirs = (
        next(ours.backend.wait_for_many([ours.send_task("shared.sum", ((1, 2),), queue=queue).id], 30))[1]
        for queue in ("celery", "stock")
    )
    assert list(ours_meta) == list(theirs)
    assert {**ours_meta, "date_done": None, "task_id": None} == {**theirs, "date_done": None, "task_id": None}
    if place.backend.startswith("file:"):
        files = [
            json.loads(file.read_bytes()) for file in (place.home / "results").glob("celery-task-meta-*")
        ]
        assert {meta["task_id"] for meta in files} >= {ours_meta["task_id"], theirs["task_id"]}
