"""Tasks that are due late wait in the broker: whoever dies meanwhile, they run at their time, and once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.system.conftest import Start

HORIZON = {"WORKERD_ETA_HORIZON": "1s"}


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_late_tasks_outlive_daemon_and_broker_and_run_once(
    start: Start, broker: dict[str, str], request: pytest.FixtureRequest
) -> None:
    server: Any = request.getfixturevalue("redis_server")
    daemon = start(**broker, env=HORIZON)
    with daemon.client() as app:
        for number in range(20):
            app.send_task("ledger.run", (number,), countdown=9 + number / 10, ignore_result=True)
        held = app.send_task("ledger.run", (20,), countdown=1, ignore_result=True)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 20)
        assert held
        eventually(lambda: not any(daemon.status()["tasks"][stage] for stage in ("scheduled", "settling")))
        daemon.kill(signal.SIGKILL)
        daemon.wait()
        server.kill()
        server.start()
        daemon.start(env=HORIZON)
        eventually(lambda: len(daemon.ran()) == 21, within=60)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 0)
    assert set(daemon.ran("start").values()) == {1}
