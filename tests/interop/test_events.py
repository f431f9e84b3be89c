"""A stock Celery event receiver hears what a daemon of ours tells, on Redis and on RabbitMQ."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.interop.stock import stock_client
from tests.interop.test_remote_control import NODE, Cluster, cluster
from tests.support.eventually import eventually
from tests.unit.protocol.wire_vectors import vector

__all__ = ["cluster"]

CAPTURED: dict[str, dict[str, Any]] = vector("event-fields-by-type")["events"]


class Ear:
    """All events that have come to a Celery receiver."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def of(self, task_id: str) -> list[str]:
        """The types of those of one task, in their order."""
        return [event["type"] for event in self.events if event.get("uuid") == task_id]

    def first(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event of this type and these fields."""
        found = [e for e in self.events if e["type"] == kind and fields.items() <= e.items()]
        assert found, f"no {kind} {fields} among {[(e['type'], e.get('uuid')) for e in self.events]}"
        return found[0]


@contextmanager
def listening(broker: str) -> Iterator[Ear]:
    ear = Ear()
    with stock_client(broker, "") as app, app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": ear.events.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        try:
            yield ear
        finally:
            receiver.should_stop = True
            thread.join(20)


def all_is_as_celery_tells_it(ear: Ear) -> None:
    """One event of each kind has the fields that Celery's own has and no others, and the clock goes on."""
    of_tasks = ("task-received", "task-started", "task-succeeded", "task-failed", "task-retried")
    for kind in (*of_tasks, "worker-heartbeat"):
        assert ear.first(kind).keys() - {"local_received"} == CAPTURED[kind].keys(), kind
    clocks = [event["clock"] for event in ear.events if event["hostname"] == NODE]
    assert clocks == sorted(clocks)


def test_events_of_tasks_have_celerys_fields_from_enable_to_disable(cluster: Cluster) -> None:
    app = cluster.app
    with listening(cluster.broker) as ear:
        eventually(lambda: ear.first("worker-heartbeat", hostname=NODE))
        before = app.send_task("ledger.add", (1, 1))
        assert before.get(timeout=30) == 2
        assert cluster.control("enable_events") == {"ok": "task events enabled"}
        assert cluster.control("enable_events") == {"ok": "task events already enabled"}
        fine = app.send_task("ledger.add", (2, 3), kwargs={})
        eventually(lambda: ear.of(fine.id) == ["task-received", "task-started", "task-succeeded"])
        failed = app.send_task("ledger.boom", ("x",))
        eventually(lambda: ear.first("task-failed", uuid=failed.id))
        retried = app.send_task("ledger.flaky", (1,))
        eventually(lambda: ear.first("task-succeeded", uuid=retried.id))
        told = app.send_task("ledger.tell", ("milestone",))
        eventually(lambda: ear.first("task-milestone", uuid=told.id, percent=50))
        with cluster.daemon.client() as ours:
            ours.conf.task_send_sent_event = True
            sent = ours.send_task("ledger.add", (2, 3))
            (among_many,) = ours.send_many([("ledger.add", (3, 4))])
        # The client tells it when the worker may have it already.
        eventually(lambda: {"task-sent", "task-succeeded"} <= {*ear.of(sent.id)})
        expired = app.send_task("ledger.add", (1, 1), countdown=1, expires=0.01)
        revoked, _ = cluster.hold(9)
        eventually(lambda: ear.first("task-started", uuid=revoked.id))
        cluster.control("terminate", revoked.id)
        eventually(lambda: ear.first("task-revoked", uuid=revoked.id, terminated=True, signum=15))
        eventually(lambda: ear.first("task-revoked", uuid=expired.id, expired=True, signum=None))
        unknown = app.send_task("nobody.knows")
        why = "NotRegistered('nobody.knows')"
        eventually(lambda: ear.first("task-failed", uuid=unknown.id, exception=why))
        assert cluster.control("disable_events") == {"ok": "task events disabled"}
        after = app.send_task("ledger.add", (1, 1))
        assert after.get(timeout=30) == 2
        last = len(ear.events)
        eventually(lambda: [e for e in ear.events[last:] if e["type"] == "worker-heartbeat"])
        assert (ear.of(before.id), ear.of(after.id)) == ([], [])

    all_is_as_celery_tells_it(ear)
    assert ear.first("task-sent", uuid=among_many.id)["args"] == "(3, 4)"
    said = ear.first("task-sent", uuid=sent.id)
    assert said.keys() - {"local_received"} == vector("event-task-sent")["body"].keys()
    assert (said["queue"], said["exchange"], said["routing_key"]) == ("celery", "", "celery")
    facts = {"pid": cluster.daemon.pid, "freq": 2.0, "sw_ident": "workerd"}
    assert ear.first("worker-heartbeat").items() >= facts.items()
    received = ear.first("task-received", uuid=fine.id)
    assert (received["name"], received["args"], received["kwargs"]) == ("ledger.add", "(2, 3)", "{}")
    assert ear.first("task-succeeded", uuid=fine.id)["result"] == "5"
    assert ear.first("task-retried")["exception"].startswith("ValueError(")
    assert "Traceback" in ear.first("task-failed", uuid=failed.id)["traceback"]


def test_a_stop_is_told_before_the_link_goes(cluster: Cluster) -> None:
    with listening(cluster.broker) as ear:
        eventually(lambda: ear.first("worker-heartbeat", hostname=NODE))
        cluster.app.control.shutdown(destination=[NODE])
        assert cluster.daemon.wait() == 0
        eventually(lambda: ear.first("worker-offline", hostname=NODE))
