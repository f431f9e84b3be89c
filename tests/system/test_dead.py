"""``workerd dead``: what was put aside is found, shown and sent anew, on every broker."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start


def dead(daemon: Workerd, *words: str, code: int = 0) -> str:
    """One ``workerd dead`` command with the daemon's broker; what it printed."""
    env = {"WORKERD_BROKER": daemon.broker} if daemon.broker else {}
    done = daemon.run("dead", *words, env=env)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return str(done.stdout if code == 0 else done.stderr)


def listed(daemon: Workerd) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(dead(daemon, "list", "--json"))
    return found


@pytest.mark.parametrize(
    "broker", [pytest.param("embedded", marks=pytest.mark.long), "rabbitmq"], indirect=True
)
def test_a_poison_message_is_found_mended_and_sent_anew(start: Start, broker: dict[str, str]) -> None:
    daemon = start(**broker)
    mark = daemon.home / "mended"
    with daemon.client() as app:
        poison = app.send_task("ledger.die_unless", (1, str(mark)))
        unknown = app.send_task("ledger.gone")
        eventually(lambda: daemon.status()["tasks"]["put_aside"] == 2, within=60)

        assert {(one["id"], one["task"], one["deaths"]) for one in listed(daemon)} == {
            (poison.id, "ledger.die_unless", 3),
            (unknown.id, "ledger.gone", 0),
        }
        told = next(line for line in daemon.text().splitlines() if "Put aside" in line and poison.id in line)
        command = shlex.split(told.partition("look at it with: workerd dead ")[2])
        shown = dead(daemon, *command)
        assert "3 processes died while they ran it" in shown
        assert str(mark) in shown

        mark.touch()
        assert dead(daemon, "requeue", poison.id[:13]) == f"{poison.id} is in celery again\n"
        eventually(lambda: daemon.logged(rf"{poison.id}\] succeeded"), within=60)
        assert poison.get(timeout=30) == 1
        assert daemon.ran("start") == {1: 4}
        assert [one["id"] for one in listed(daemon)] == [unknown.id]
    assert daemon.stop() == 0

    # Nothing needs a daemon from here on.
    assert [one["id"] for one in listed(daemon)] == [unknown.id]
    assert "ledger.gone" in dead(daemon, "list", "celery.dead")
    assert "no dead letter 'none'" in dead(daemon, "show", "none", code=1)
    assert "1 in celery.dead; add --yes" in dead(daemon, "purge", code=2)
    assert dead(daemon, "requeue", "--all") == f"{unknown.id} is in celery again\n"
    assert dead(daemon, "list") == "no dead letters in celery.dead\n"
    daemon.start()
    eventually(lambda: daemon.status()["tasks"]["put_aside"] == 1, within=60)
    assert dead(daemon, "purge", "celery", "--yes") == "1 deleted from celery.dead\n"
    assert listed(daemon) == []


def test_the_bytes_of_a_message_come_out_as_they_went_in(start: Start, redis_url: str) -> None:
    daemon = start(broker=redis_url, backend=redis_url)
    with daemon.client() as app, app.producer_or_acquire() as producer:
        producer.publish("no task at all", routing_key="celery", exchange="", serializer="json")
    eventually(lambda: daemon.status()["tasks"]["put_aside"] == 1)
    [one] = listed(daemon)
    assert one["task"] is None
    assert daemon.logged(rf"a message that cannot be read: .*workerd dead show {one['id']}")
    assert json.loads(dead(daemon, "show", one["id"], "--raw"))["body"]
    assert "the task's name is" in dead(daemon, "show", one["id"]) or one["reason"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("requeue",), "say which dead letters"),
        (("requeue", "x", "--all"), "say which dead letters"),
        (("nothing",), "no verb 'nothing'"),
        (("show",), "Missing argument"),
    ],
)
def test_words_that_are_wrong_are_told(
    make: Callable[..., Workerd], words: tuple[str, ...], told: str
) -> None:
    assert told in dead(make(), *words, code=2)


def test_a_broker_that_is_not_there_is_told(make: Callable[..., Workerd]) -> None:
    assert "Connection refused; check that the server runs" in dead(
        make(broker="redis://127.0.0.1:1/0"), "list", code=69
    )
    assert "Connection refused; check that the server runs" in dead(
        make(broker="amqp://127.0.0.1:1//"), "list", code=69
    )
    assert "Connection refused; check that the server runs" in dead(
        make(broker="amqp://127.0.0.1:1//,redis://127.0.0.1:1/0"), "list", code=69
    )
    assert "the embedded broker does not run" in dead(make(), "list", code=69)
