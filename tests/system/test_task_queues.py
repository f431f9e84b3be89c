"""Queues that are added and cancelled while a daemon runs: the same after a lost link, on both brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.system.conftest import Make
from workerd import App

HANDS = """
from operator import attrgetter
from pathlib import Path

from tests.support.apps.ledger import app
from workerd import bootsteps

class Hands(bootsteps.StartStopStep):
    '''Does what the names of the files in "orders" say; each is an order of its own.'''
    requires = ("Timer",)

    def start(self, worker):
        worker.timer.call_repeatedly(0.05, self.look, (worker,))

    def look(self, worker):
        for order in sorted(Path("orders").iterdir()):
            _, verb, *words = order.name.split(",")
            try:
                attrgetter(verb)(worker.consumer)(*words)
            except Exception as exc:
                print(f"{type(exc).__name__}: {exc}")
            order.unlink()

app.steps["worker"].add(Hands)
"""


@pytest.fixture
def daemon(short_dir: Path, make: Make, proxy: Proxy, server: Any, redis_url: str) -> Workerd:
    (short_dir / "hands.py").write_text(HANDS)
    (short_dir / "orders").mkdir()
    daemon = make(app="hands", broker=proxy.url(server.url), backend=redis_url)
    daemon.env["PYTHONPATH"] += f":{short_dir}"
    return daemon.start(size="1")


@pytest.fixture
def client(server: Any, redis_url: str) -> Iterator[App]:
    with App("client", broker=server.url, backend=redis_url) as app:
        yield app


def order(daemon: Workerd, *words: str) -> None:
    """Give an order, and wait until it is done."""
    orders = daemon.home / "orders"
    (orders / ",".join(("order", *words))).touch()
    eventually(lambda: not list(orders.iterdir()))


def waiting(server: Any, queue: str) -> int:
    with Connection(server.url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


def let_go(server: Any, queue: str) -> bool:
    """Nobody consumes it any more; on Redis, that is so with the next look."""
    if not server.url.startswith("amqp"):
        return True
    with Connection(server.url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).consumer_count) == 0


def test_queues_are_the_same_after_a_lost_link(
    daemon: Workerd, proxy: Proxy, client: App, server: Any
) -> None:
    order(daemon, "add_task_queue", "video")
    order(daemon, "add_task_queue", "video")  # once more changes nothing
    order(daemon, "cancel_task_queue", "celery")
    assert client.send_task("ledger.run", (1,), queue="video").get(timeout=30) == 1

    proxy.refuse()
    proxy.reset()
    eventually(lambda: daemon.status()["link"]["state"] != "up")
    order(daemon, "add_task_queue", "late")  # there is no link to do it over
    proxy.resume()
    client.send_task("ledger.run", (2,), queue="celery")
    for number, queue in ((3, "video"), (4, "late")):
        assert client.send_task("ledger.run", (number,), queue=queue).get(timeout=60) == number
    status = daemon.status()
    assert status["queues"] == status["pools"][0]["queues"] == ["video", "late"]
    assert waiting(server, "celery") == 1

    order(daemon, "add_task_queue", "celery")
    eventually(lambda: daemon.ran()[2] == 1)
    assert daemon.stop() == 0
    assert daemon.text().count("Started consuming from video") == 1
    assert daemon.logged("Canceling queue celery")
    assert not daemon.logged("ERROR|Traceback|Error:")
    assert daemon.ran("start") == {1: 1, 2: 1, 3: 1, 4: 1}


def test_what_is_held_of_a_queue_is_the_same_after_a_lost_link(
    daemon: Workerd, proxy: Proxy, client: App, server: Any
) -> None:
    gate = daemon.home / "gate"
    for number in range(5):
        client.send_task("ledger.hold", (number, str(gate)))
    eventually(lambda: daemon.ran("start")[0] == 1)
    eventually(lambda: waiting(server, "celery") == 4)  # one slot, which is taken for who knows how long
    proxy.cut()
    eventually(lambda: daemon.status()["link"]["restarts"] == 1)
    order(daemon, "add_task_queue", "video")
    # RabbitMQ has taken back what the slot runs, too; it is not fetched for a slot that is taken.
    taken_back = int(server.url.startswith("amqp"))
    eventually(lambda: waiting(server, "celery") == 4 + taken_back)
    assert daemon.status()["tasks"]["reserved"] == 0
    gate.touch()
    eventually(lambda: len(daemon.ran()) == 5)
    assert daemon.stop() == 0
    assert daemon.ran("start") == dict.fromkeys(range(5), 1)


def test_a_queue_may_be_bound_as_is_said(daemon: Workerd, proxy: Proxy, client: App, server: Any) -> None:
    order(daemon, "add_task_queue", "video", "films", "direct", "new")
    if server.url.startswith("amqp"):
        with Connection(server.url) as connection, connection.channel() as channel:
            channel.exchange_declare("films", "direct", passive=True)
        order(daemon, "add_task_queue", "amq.mine")  # RabbitMQ keeps such names for itself
        eventually(lambda: daemon.logged("UsageError: queue 'amq.mine' cannot be consumed: .*ACCESS_REFUSED"))
        assert daemon.status()["queues"] == ["celery", "video"]
    assert daemon.status()["link"]["restarts"] == 0
    proxy.cut()
    eventually(lambda: daemon.status()["link"]["restarts"] == 1)
    sent = client.send_task("ledger.run", (1,), exchange="films", routing_key="new")
    assert sent.get(timeout=30) == 1

    order(daemon, "task_consumer.cancel")
    # What the broker has sent before it hears of that is run.
    eventually(lambda: let_go(server, "video") and let_go(server, "celery"))
    client.send_task("ledger.run", (2,), queue="video")
    client.send_task("ledger.run", (3,), queue="celery")
    eventually(lambda: waiting(server, "video") == waiting(server, "celery") == 1)
    order(daemon, "task_consumer.consume")
    eventually(lambda: daemon.ran() == {1: 1, 2: 1, 3: 1})
    assert daemon.stop() == 0
