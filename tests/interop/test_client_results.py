"""Celery's clients read our results, and ours read Celery's: over a real Redis, without a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.interop.our_app import make_app, run_next
from tests.interop.stock import stock_client
from workerd import App
from workerd.exceptions import RemoteError

# Celery's own way to store a result, with the redis-py of today.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def ours(redis_url: str) -> Iterator[App]:
    with make_app(redis_url, redis_url) as app:
        yield app


@pytest.fixture
def stock(redis_url: str) -> Iterator[Any]:
    with stock_client(redis_url, redis_url) as app:
        yield app


def test_a_celery_client_reads_the_success_of_its_call(ours: App, stock: Any, client: Any) -> None:
    sent = stock.send_task("proj.add", (2, 3))
    assert sent.state == "PENDING"
    run_next(ours, client)
    assert sent.get(timeout=10) == 5
    assert sent.successful()
    assert 86000 < client.ttl(f"celery-task-meta-{sent.id}") <= 86400


def test_a_celery_client_raises_the_exception_of_our_run(ours: App, stock: Any, client: Any) -> None:
    sent = stock.send_task("proj.boom", ("kaput",))
    outcome, _ = run_next(ours, client)
    assert outcome["state"] == "FAILURE"
    with pytest.raises(ValueError, match="kaput") as caught:
        sent.get(timeout=10)
    assert caught.value.args == ("kaput", 7)
    assert sent.traceback.startswith("Traceback (most recent call last):\n")
    assert "workerd/app/" not in sent.traceback  # no frames of ours


def test_a_celery_client_sees_every_state_of_a_run(ours: App, stock: Any, client: Any) -> None:
    sent = stock.send_task("proj.progress", (4,))
    _, states = run_next(ours, client)
    assert states == ["STARTED", "PROGRESS"]
    assert sent.get(timeout=10) == "done"


def test_a_celery_client_sees_a_retry_and_then_the_result(ours: App, stock: Any, client: Any) -> None:
    sent = stock.send_task("proj.flaky")
    first, _ = run_next(ours, client)
    assert (first["state"], first["repr"]) == ("RETRY", "Retry in 0s: KeyError('again')")
    assert sent.state == "RETRY"
    assert isinstance(sent.result, KeyError)
    assert run_next(ours, client)[0]["state"] == "RETRY"
    assert run_next(ours, client)[0]["state"] == "SUCCESS"
    assert sent.get(timeout=10) == 2


def test_a_celery_client_follows_our_children(ours: App, stock: Any, client: Any) -> None:
    sent = stock.send_task("proj.spawn")
    run_next(ours, client)
    run_next(ours, client)
    child = sent.get(timeout=10)
    assert [result.id for result in sent.children] == [child]
    assert stock.AsyncResult(child).get(timeout=10) == 2
    assert ours.AsyncResult(sent.id).children == [ours.AsyncResult(child)]


def test_a_celery_client_that_sends_to_an_unknown_task_hears_of_it(
    ours: App, stock: Any, client: Any
) -> None:
    from celery.exceptions import NotRegistered

    sent = stock.send_task("proj.missing")
    run_next(ours, client)
    with pytest.raises(NotRegistered):
        sent.get(timeout=10)


@pytest.mark.parametrize("compression", ["gzip", "bzip2"])
def test_compressed_results_are_read_on_both_sides(redis_url: str, compression: str) -> None:
    with (
        make_app(redis_url, redis_url, result_compression=compression) as ours,
        stock_client(redis_url, redis_url) as stock,
    ):
        stock.conf.result_compression = compression
        stock.backend.store_result("theirs", "a" * 300, "SUCCESS")
        assert ours.AsyncResult("theirs").get(timeout=10) == "a" * 300
        meta = {
            "status": "SUCCESS",
            "result": "b" * 300,
            "traceback": None,
            "children": [],
            "task_id": "ours",
        }
        ours.backend.store("ours", "SUCCESS", ours.backend.encode(meta))
        assert stock.AsyncResult("ours").get(timeout=10) == "b" * 300


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_results_of_every_serializer_are_read_on_both_sides(
    redis_url: str, client: Any, serializer: str
) -> None:
    settings = {"result_serializer": serializer, "accept_content": ["json", serializer]}
    with (
        make_app(redis_url, redis_url, **settings) as ours,
        stock_client(redis_url, redis_url) as stock,
    ):
        stock.conf.update(settings)
        stock.backend.store_result("theirs", {"x": [1, None]}, "SUCCESS")
        stock.backend.store_result("failed", LookupError("gone", 3), "FAILURE")
        assert ours.AsyncResult("theirs").get(timeout=10) == {"x": [1, None]}
        with pytest.raises(LookupError) as caught:
            ours.AsyncResult("failed").get(timeout=10)
        assert caught.value.args == ("gone", 3)
        sent, broken = stock.send_task("proj.add", (2, 3)), stock.send_task("proj.boom", ("kaput",))
        run_next(ours, client)
        run_next(ours, client)
        assert sent.get(timeout=10) == 5
        with pytest.raises(ValueError, match="kaput") as raised:
            broken.get(timeout=10)
        assert raised.value.args == ("kaput", 7)


def test_our_client_reads_what_celery_stores(ours: App, stock: Any) -> None:
    stock.backend.store_result("a", {"x": [1, None]}, "SUCCESS")
    stock.backend.store_result("b", LookupError("gone", 3), "FAILURE", traceback="Traceback: here")
    stock.backend.store_result("c", {"done": 2}, "PROGRESS")
    assert ours.AsyncResult("a").get(timeout=10) == {"x": [1, None]}
    failed = ours.AsyncResult("b")
    assert (failed.state, failed.failed(), failed.traceback) == ("FAILURE", True, "Traceback: here")
    with pytest.raises(LookupError) as caught:
        failed.get(timeout=10)
    assert caught.value.args == ("gone", 3)
    assert (ours.AsyncResult("c").state, ours.AsyncResult("c").info) == ("PROGRESS", {"done": 2})


def test_an_exception_that_this_process_does_not_know_gets_a_class_of_its_name(ours: App, stock: Any) -> None:
    unknown = type("NeverImported", (Exception,), {"__module__": "no.such.module"})
    stock.backend.store_result("x", unknown("what", 1), "FAILURE")
    with pytest.raises(RemoteError) as caught:
        ours.AsyncResult("x").get(timeout=10)
    assert type(caught.value).__name__ == "NeverImported"
    assert type(caught.value).__module__ == "no.such.module"
    assert caught.value.args == ("what", 1)


def test_key_prefixes_agree(redis_url: str) -> None:
    options = {"global_keyprefix": "team"}
    with (
        make_app(redis_url, redis_url, result_backend_transport_options=options) as ours,
        stock_client(redis_url, redis_url) as stock,
    ):
        stock.conf.result_backend_transport_options = options
        stock.backend.store_result("p", 1, "SUCCESS")
        assert ours.AsyncResult("p").get(timeout=10) == 1


def test_extended_results_have_the_same_fields(redis_url: str, client: Any) -> None:
    with (
        make_app(redis_url, redis_url, result_extended=True) as ours,
        stock_client(redis_url, redis_url) as stock,
    ):
        sent = stock.send_task("proj.add", (1, 2))
        run_next(ours, client)
        assert sent.get(timeout=10) == 3
        assert (sent.name, sent.args, sent.kwargs) == ("proj.add", [1, 2], {})
        assert (sent.worker, sent.retries, sent.queue) == ("main@here", 0, "celery")
