"""The main job: tasks sent by our own client run in a daemon, and their results come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

EVERY_BROKER = pytest.mark.parametrize("broker", ["embedded", "redis", "rabbitmq"], indirect=True)


@EVERY_BROKER
def test_tasks_run_and_their_results_come_back(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        assert app.send_task("ledger.add", (2, 3)).get(timeout=30) == 5
        assert app.send_task("ledger.add", kwargs={"x": "a", "y": "ü"}).get(timeout=30) == "aü"

        failed = app.send_task("ledger.boom", ("no",))
        with pytest.raises(ValueError, match="no"):
            failed.get(timeout=30)
        assert failed.state == "FAILURE"
        assert "ValueError: no" in failed.traceback

        assert app.send_task("ledger.flaky", (2,)).get(timeout=30) == 2
    assert daemon.stop() == 0


@EVERY_BROKER
def test_a_countdown_is_waited_for_and_an_expired_task_never_runs(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        began = time.monotonic()
        late = app.send_task("ledger.run", (1,), countdown=1.0)
        dead = app.send_task("ledger.run", (2,), countdown=1.5, expires=0.5)
        assert late.get(timeout=30) == 1
        assert time.monotonic() - began >= 1.0
        eventually(lambda: dead.state == "REVOKED")
    assert daemon.ran("start") == {1: 1}


@EVERY_BROKER
def test_an_early_acknowledged_task_runs_once(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        results = [app.send_task("ledger.early", (n,)) for n in range(20)]
        assert [result.get(timeout=30) for result in results] == list(range(20))
    assert daemon.ran("start") == dict.fromkeys(range(20), 1)


@EVERY_BROKER
def test_unknown_tasks_and_malformed_messages_are_put_aside_and_the_rest_runs(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(**broker)
    with daemon.client() as app:
        unknown = app.send_task("ledger.gone")
        with app.producer_or_acquire() as producer:
            publish: Any = producer.publish
            publish("no task at all", routing_key="celery", exchange="", serializer="json")
            publish({"task": 7}, routing_key="celery", exchange="", headers={"task": "", "id": 3})
        eventually(lambda: unknown.state == "FAILURE")
        assert type(unknown.result).__name__ == "NotRegistered"
        eventually(lambda: daemon.status()["tasks"]["put_aside"] == 3)
        unread = app.send_task("ledger.add", (1, 2), serializer="pickle")
        eventually(lambda: unread.state == "FAILURE")
        eventually(lambda: daemon.status()["tasks"]["put_aside"] == 4)
        assert app.send_task("ledger.add", (1, 1)).get(timeout=30) == 2
    assert daemon.logged("Received unregistered task ledger.gone")
    assert daemon.logged("Received a malformed message")


def test_a_time_without_offset_is_read_in_the_apps_zone(
    make: Callable[..., Workerd], short_dir: Path
) -> None:
    (short_dir / "zoneapp.py").write_text(
        "from tests.support.apps.ledger import app\napp.conf.timezone = 'Pacific/Kiritimati'\n"
    )
    daemon = make(app="zoneapp").start()
    there = datetime.now(ZoneInfo("Pacific/Kiritimati")).replace(tzinfo=None)
    with daemon.client() as app:
        # In UTC this is 14 hours ahead; there it is now.
        assert app.send_task("ledger.run", (1,), eta=there).get(timeout=30) == 1
    assert daemon.stop() == 0
