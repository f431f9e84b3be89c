"""``workerd delayed``: what waits for its ETA is counted, listed and flushed, on the broker itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


def delayed(daemon: Workerd, *words: str, code: int = 0) -> str:
    """One ``workerd delayed`` command with the daemon's broker; what it printed."""
    done = daemon.run("delayed", *words, env={"WORKERD_BROKER": daemon.broker or ""})
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return str(done.stdout if code == 0 else done.stderr)


def plain(daemon: Workerd, *words: str) -> Any:
    return json.loads(delayed(daemon, "list", "--json", *words))


def test_on_redis_it_lists_what_waits_and_sends_it_to_its_queues(
    start: Start, redis_url: str, redis_server: RedisServer
) -> None:
    daemon = start(broker=redis_url, backend=redis_url, words=("--queues", "celery,mail"))
    assert delayed(daemon, "list") == "nothing waits\n"
    with daemon.client() as app, redis_server.client() as client:
        later = app.send_task("ledger.run", (1,), countdown=7200)
        soon = app.send_task("ledger.run", (2,), countdown=3600, queue="mail", priority=6)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 2)
        raws = originals(client)

        found = plain(daemon)
        assert (found["total"], found["counts"]) == (2, {"celery": 1, "mail": 1})
        assert [(one["id"], one["queue"]) for one in found["next"]] == [
            (soon.id, "mail"),
            (later.id, "celery"),
        ]
        assert [one["id"] for one in plain(daemon, "celery")["next"]] == [later.id]
        assert "and 1 more" in delayed(daemon, "list", "--limit", "1")
        assert delayed(daemon, "list", "other") == "nothing waits for other\n"

        assert "1 daemon would put back what is due late" in delayed(daemon, "flush", code=1)
        assert daemon.stop() == 0
        assert delayed(daemon, "flush") == "2 messages sent to their queues\n"
        assert delayed(daemon, "flush") == "nothing waits\n"
        assert not client.exists("workerd:delayed")
        assert {*client.lrange("celery", 0, -1), *client.lrange("mail\x06\x166", 0, -1)} == raws


def test_of_several_brokers_it_tells_which_was_asked(make: Callable[..., Workerd], redis_url: str) -> None:
    urls = f"redis://127.0.0.1:1/0;{redis_url}"
    done = make().run("delayed", "list", env={"WORKERD_BROKER": urls})
    assert (done.returncode, done.stdout) == (0, "nothing waits\n")
    assert done.stderr == f"at {redis_url}, the first that can be reached:\n"


def originals(client: redis.Redis) -> set[bytes]:
    """The messages as they were sent, which begin with a brace."""
    return {entry[entry.index(b"{") :] for entry in client.zrange("workerd:delayed", 0, -1)}


@pytest.mark.usefixtures("fresh_rabbit_url")
def test_on_rabbitmq_it_counts_what_waits_in_which_delay_queue(start: Start, rabbit_url: str) -> None:
    daemon = start(broker=rabbit_url, backend=None)
    before = plain(daemon)["total"]
    with daemon.client() as app:
        app.send_task("ledger.run", (1,), countdown=2**22 + 1000)
        eventually(lambda: plain(daemon)["total"] == before + 1)
    assert plain(daemon)["counts"]["celery_delayed_22"] >= 1
    assert plain(daemon)["next"] == []
    assert "in celery_delayed_22" in delayed(daemon, "list")
    assert "by itself" in delayed(daemon, "flush")
