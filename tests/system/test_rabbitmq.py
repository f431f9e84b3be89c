"""What is RabbitMQ's own: queues that it takes away, and orders that it does not keep."""

from __future__ import annotations

from kombu import Connection

from tests.support.eventually import eventually
from tests.system.conftest import Start


def test_a_queue_that_is_deleted_is_consumed_again(start: Start, fresh_rabbit_url: str) -> None:
    settings = {"WORKERD_QUEUES": "celery,video", "WORKERD_QUEUE_ORDER": "strict"}
    daemon = start(broker=fresh_rabbit_url, env=settings)
    strict = "queue_order = strict has no effect on RabbitMQ (pool default)"
    assert daemon.text().count(strict) == 1
    checked = daemon.run("-A", daemon.app, "--broker", fresh_rabbit_url, "check", env=settings)
    assert checked.returncode == 0
    assert f"reached; {strict}" in checked.stdout

    with Connection(fresh_rabbit_url) as connection, connection.channel() as channel:
        channel.queue_delete("video")
    eventually(lambda: daemon.status()["cancelled"] == {"video": 1})
    told = daemon.run("status").stdout
    assert "by the broker, and begun again: the consuming of video (1 time)" in told
    assert "DEGRADED" not in told

    with daemon.client() as client:
        client.send_task("ledger.run", (1,), queue="video")
    eventually(lambda: daemon.ran() == {1: 1})
    assert daemon.text().count("has ended the consuming of queue video") == 1
