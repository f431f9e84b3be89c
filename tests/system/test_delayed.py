"""Tasks that are due late wait in the broker: whoever dies meanwhile, they run at their time, and once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.system.conftest import Start

HORIZON = {"WORKERD_ETA_HORIZON": "1s"}


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_late_tasks_outlive_daemon_and_broker_and_run_once(
    start: Start, broker: dict[str, str], request: pytest.FixtureRequest
) -> None:
    kind = "rabbit" if broker["broker"].startswith("amqp") else "redis"
    server: Any = request.getfixturevalue(f"{kind}_server")
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
        # RabbitMQ writes acknowledgements late: killed, it would have some of the originals again.
        server.stop() if kind == "rabbit" else server.kill()
        server.start()
        daemon.start(env=HORIZON)
        eventually(lambda: len(daemon.ran()) == 21, within=60)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 0)
    assert set(daemon.ran("start").values()) == {1}
