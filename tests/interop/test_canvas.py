"""Workflows whose steps run by turns on a daemon of ours and on a stock Celery worker, begun by either."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.interop.canvases import ENDS, FORMS, Spread, our_kit
from tests.interop.stock import ROOT, stock_worker
from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import running
from tests.support.eventually import eventually
from workerd import App, GroupResult, chord, group
from workerd.protocol.exceptions import ChordError
from workerd.protocol.outgoing import new_id

APP = "tests.interop.canvas_app"
QUEUES = ("ours", "theirs")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def redis_home(redis_server: RedisServer) -> str:
    """Emptied once: the nodes of this file stay."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(
    scope="module",
    params=["redis", *(pytest.param(name, marks=pytest.mark.long) for name in ("rabbit", "file"))],
)
def cluster(
    request: pytest.FixtureRequest, redis_home: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """(broker, backend) of a node of each kind."""
    broker = redis_home
    if request.param == "rabbit":
        server: RabbitServer = request.getfixturevalue("rabbit_server")
        broker = server.url
    home = tmp_path_factory.mktemp("c")
    backend = redis_home
    if request.param == "file":
        (home / "results").mkdir()
        backend = f"file://{home}/results"
    with ExitStack() as stack:
        stack.enter_context(running(home, app=APP, broker=broker, backend=backend))
        stack.enter_context(stock_worker(home / "stock", broker, backend, app=APP))
        yield broker, backend


@contextmanager
def client_of(cluster: tuple[str, str]) -> Iterator[App]:
    broker, backend = cluster
    with App("proj", broker=broker, backend=backend, task_default_queue="ours") as app:
        for name in ("add", "total", "boom", "tell", "instead", "more", "sleep"):
            app.task(name=f"proj.{name}", typing=False)(_far)
        yield app


@pytest.fixture
def app(cluster: tuple[str, str]) -> Iterator[App]:
    with client_of(cluster) as app:
        yield app


def _far(*args: Any) -> None:
    """Runs elsewhere."""


def test_what_we_begin_ends_alike_wherever_its_steps_run(app: App) -> None:
    queues = itertools.cycle(QUEUES)
    kit = our_kit(*(Spread(app.tasks[f"proj.{name}"], queues) for name in ("add", "total")))
    begun = {form: FORMS[form](kit).apply_async() for form in ENDS}
    ends = {form: result.get(timeout=PATIENCE) for form, result in begun.items()}
    assert ends == dict(ENDS)


def test_what_a_celery_client_begins_ends_alike(cluster: tuple[str, str]) -> None:
    argv = [sys.executable, "-m", "tests.interop.celery_begins", *cluster]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


def here_and_there(app: App, name: str) -> list[Any]:
    """A function for each queue that makes a signature of the task."""
    return [lambda *args, queue=queue: app.tasks[name].s(*args).set(queue=queue) for queue in QUEUES]


@pytest.mark.parametrize("last", [0, 1], ids=["here", "there"])
def test_a_part_that_fails_fails_the_chord_and_calls_its_errback(app: App, last: int) -> None:
    add, boom, tell = (here_and_there(app, f"proj.{name}") for name in ("add", "boom", "tell"))
    key = new_id()
    body = app.tasks["proj.total"].s().on_error(tell[last](key))
    result = chord([add[1 - last](1, 1), boom[last](), add[0](2, 2)], body).apply_async()
    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError"):
        result.get(timeout=PATIENCE)
    assert app.AsyncResult(key).get(timeout=PATIENCE) == result.id


@pytest.mark.parametrize("end", ["expired", "killed", "revoked"])
def test_a_part_that_ends_without_its_child_fails_the_chord(app: App, end: str) -> None:
    add, tell = app.tasks["proj.add"], app.tasks["proj.tell"]
    part = add.s(1, 1).set(task_id=new_id())
    if end == "killed":
        part = app.tasks["proj.sleep"].s()
    elif end == "expired":
        part.set(expires=datetime.now(UTC) - timedelta(seconds=5))
    else:
        app.control.revoke(part.id)
    key = new_id()
    body = app.tasks["proj.total"].s().on_error(tell.s(key))
    result = chord([add.s(2, 2).set(queue="theirs"), part.set(queue="ours")], body).apply_async()
    with pytest.raises(ChordError, match=r"Time|expired|revoked"):
        result.get(timeout=PATIENCE)
    assert app.AsyncResult(key).get(timeout=PATIENCE) == result.id


def test_a_chord_that_fails_fails_the_one_it_is_part_of(app: App) -> None:
    add, boom, total = (here_and_there(app, f"proj.{name}") for name in ("add", "boom", "total"))
    # A worker of Celery's that fails the inner one leaves the outer one waiting; ours does not.
    inner = chord([boom[0](), add[0](1, 1)], total[1]())
    result = chord([inner, add[1](1, 1)], total[1]()).apply_async()
    with pytest.raises(ChordError):
        result.get(timeout=PATIENCE)


def test_who_waits_for_the_end_of_a_chain_hears_of_a_failure_in_it(app: App) -> None:
    add, boom, total = (here_and_there(app, f"proj.{name}") for name in ("add", "boom", "total"))
    for side in (0, 1):
        chain = add[side](1, 1) | boom[side]() | group(add[0](1), add[1](2)) | total[side]()
        with pytest.raises(ValueError, match="boom"):
            chain.apply_async().get(timeout=PATIENCE)


@pytest.mark.parametrize("how", ["call", "chain", "group"])
def test_what_replaces_a_call_ends_in_its_place(app: App, how: str) -> None:
    add, instead, total = (here_and_there(app, f"proj.{name}") for name in ("add", "instead", "total"))
    wanted: Any = [2, 4] if how == "group" else 42
    for here, there in ((0, 1), (1, 0)):
        alone = instead[here](how, QUEUES[there]).apply_async()
        assert alone.get(timeout=PATIENCE) == wanted
        in_a_chord = chord([instead[here](how, QUEUES[there]), add[there](1, 1)], total[here]()).apply_async()
        assert in_a_chord.get(timeout=PATIENCE) == (8 if how == "group" else 44)
        if how != "group":
            in_a_chain = (instead[here](how, QUEUES[there]) | add[there](1)).apply_async()
            assert in_a_chain.get(timeout=PATIENCE) == 43


def test_a_part_can_add_another_to_its_chord(app: App) -> None:
    more, total = (here_and_there(app, f"proj.{name}") for name in ("more", "total"))
    for here, there in ((0, 1), (1, 0)):
        result = chord([more[here](QUEUES[there])], total[here]()).apply_async()
        if app.backend.chords is not None:
            assert result.get(timeout=PATIENCE) == 21
            continue
        with pytest.raises(ChordError):
            result.get(timeout=PATIENCE)


def test_results_of_a_workflow_can_be_walked_through_and_saved(app: App) -> None:
    add, total = (here_and_there(app, f"proj.{name}") for name in ("add", "total"))
    result = (group(add[0](1, 1), add[1](2, 2)) | total[1]() | add[0](4)).apply_async()
    assert result.get(timeout=PATIENCE) == 10
    assert result.parent.get(timeout=PATIENCE) == 6
    header = result.parent.parent
    assert isinstance(header, GroupResult)
    assert (header.get(timeout=PATIENCE), header.successful(), header.completed_count()) == ([2, 4], True, 2)
    header.save()
    again = GroupResult.restore(header.id, app)
    assert again == header
    assert again.join(timeout=PATIENCE) == [2, 4]
    header.delete()
    assert GroupResult.restore(header.id, app) is None
    first = (add[0](1, 1) | group(add[0](3), add[1](4))).apply_async().parent
    first.get(timeout=PATIENCE)
    eventually(lambda: first.children)
    assert [value for node, value in first.collect(timeout=PATIENCE) if not node.children] == [5, 6]


def test_builtin_tasks_of_celery_run_here(app: App) -> None:
    add = app.tasks["proj.add"].s()
    result = app.send_task("celery.starmap", (), {"task": add, "it": [[1, 2], [3, 4]]}, queue="ours")
    assert result.get(timeout=PATIENCE) == [3, 7]
    assert app.send_task("celery.accumulate", (5, 6), queue="ours").get(timeout=PATIENCE) == [5, 6]
    body = app.tasks["proj.total"].s().set(queue="theirs", task_id=new_id())
    header = group(app.tasks["proj.add"].s(n, n).set(queue="theirs") for n in range(3)).apply_async()
    tuples = [result.as_tuple() for result in header]
    app.send_task("celery.chord_unlock", (header.id, body), {"result": tuples, "interval": 0.2}, queue="ours")
    assert app.AsyncResult(body.id).get(timeout=PATIENCE) == 6
