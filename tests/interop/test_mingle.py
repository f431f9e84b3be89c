"""Nodes that start learn what the others have revoked: daemons of ours and Celery workers, both ways."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interop.stock import stock_client, stock_worker
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import fresh_rabbit_url, start
from workerd import App

__all__ = ["fresh_rabbit_url", "start"]

HOST = os.uname().nodename
Start = Callable[..., Workerd]


def node(name: str) -> str:
    return f"{name}@{HOST}"


def revoked(app: Any, name: str) -> set[str]:
    # A Celery worker says that it is ready before it listens on Redis, and what is told then is lost.
    answers = eventually(lambda: app.control.inspect([node(name)], timeout=2.0).revoked())
    return set(answers[node(name)])


def revoke(app: Any, name: str, task_id: str) -> None:
    [answer] = app.control.revoke(task_id, destination=[node(name)], reply=True, timeout=20.0)
    assert "flagged as revoked" in answer[node(name)]["ok"]


def test_a_mixed_cluster_on_redis(start: Start, redis_url: str, short_dir: Path) -> None:
    urls = {"broker": redis_url, "backend": redis_url}
    first = start(home="a", name="a", **urls)
    with stock_client(redis_url, redis_url) as app:
        revoke(app, "a", "ours")
        with stock_worker(short_dir / "c", redis_url, redis_url, mingle=True):
            assert "ours" in revoked(app, "celery")
            eventually(lambda: first.logged("mingle: all alone"))
            revoke(app, "celery", "theirs")
            assert revoked(app, "a") == {"ours"}
            second = start(home="b", name="b", **urls)
            eventually(lambda: second.logged("mingle: sync with 2 nodes: a@.*, celery@"))
            assert revoked(app, "b") == {"ours", "theirs"}
            # It tells its own when it asks, so whoever answers knows them too.
            assert revoked(app, "a") == {"ours"}
            clocks = [app.control.inspect([node(name)], timeout=20.0).clock() for name in ("b", "celery")]
            ours, stock = (next(iter(one.values()))["clock"] for one in clocks)
            assert abs(ours - stock) < 50
            looked_at(first.client(), "b", "celery")


def looked_at(client: App, ours: str, stock: str) -> None:
    """Our client asks both kinds of worker for what is asked for least."""
    with client as app:
        both = app.control.inspect([node(ours), node(stock)], timeout=20.0)
        told = both.hello("nobody@here", ["late"])
        assert told is not None and told.keys() == {node(ours), node(stock)}
        assert all({"revoked", "clock"} <= answer.keys() for answer in told.values())
        assert "late" in revoked(app, ours)
        alone = app.control.inspect([node(ours)], timeout=20.0)
        assert "not supported" in (alone.objgraph() or {})[node(ours)]["error"]
        assert "rss" in (alone.memdump() or {})[node(ours)]
        assert "ledger.run" in str(alone.registered_tasks())


def test_what_is_revoked_outlives_a_crash_and_reaches_others_on_rabbitmq(
    start: Start, fresh_rabbit_url: str, redis_url: str
) -> None:
    urls = {"broker": fresh_rabbit_url, "backend": redis_url}
    first = start(home="a", name="a", **urls)
    with stock_client(fresh_rabbit_url, redis_url) as app:
        revoke(app, "a", "gone")
        first.kill(signal.SIGKILL)
        first.wait()
        first.start()
        sent = app.send_task("ledger.run", (1,), task_id="gone")
        eventually(lambda: sent.state == "REVOKED")
        second = start(home="b", name="b", **urls)
        eventually(lambda: second.logged("mingle: sync with 1 node: a@"))
        assert revoked(app, "b") == {"gone"}
    assert first.ran("start")[1] == 0
