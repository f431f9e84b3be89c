"""``workerd purge``: what waits in queues is counted, and deleted if that is meant, on every broker."""

from __future__ import annotations

import json

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


def purge(daemon: Workerd, *words: str, code: int = 0) -> str:
    """One ``workerd purge``; what it printed."""
    env = {"WORKERD_BROKER": daemon.broker} if daemon.broker else {}
    done = daemon.run("-A", daemon.app, "purge", *words, env=env)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return str(done.stdout if code == 0 else done.stderr)


@pytest.mark.parametrize("broker", ["embedded", "redis", "rabbitmq"], indirect=True)
def test_what_waits_goes_and_what_runs_or_has_its_own_time_stays(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(size="2", **broker)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)))
        eventually(lambda: daemon.ran("start") == {1: 1})
        app.send_task("ledger.run", (2,), countdown=3600)
        eventually(lambda: daemon.status()["tasks"]["parked"] == 1)
        for number in range(3):
            app.send_task("ledger.run", (number,), queue="mail", priority=number)
        assert purge(daemon, "nowhere", "mail", code=2).count("3 in mail; add --yes") == 1
        assert purge(daemon, "nowhere", "mail", "--yes") == "3 messages deleted from mail\n"
        assert purge(daemon) == "nothing waits in celery\n"
        assert daemon.status()["tasks"]["parked"] == 1
        gate.touch()
        eventually(lambda: daemon.ran("end") == {1: 1})
        assert daemon.stop() == 0

        # The queues of the app's settings, without a daemon.
        if daemon.broker:
            app.send_task("ledger.run", (3,))
            assert app.control.purge() >= 1
            assert app.control.purge() == 0
    assert json.loads(purge(daemon, "--yes", "--json")).keys() == {"celery"}
    assert daemon.ran("start") == {1: 1}
