"""Calls over RabbitMQ wait until the broker keeps their message, unless the app gives that promise up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.brokers import RabbitServer
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from workerd import App, group
from workerd.errors import UnavailableError

HASTY: dict[str, Any] = {"broker_transport_options": {"confirm_publish": False}}


@pytest.fixture
def queue(rabbit_url: str) -> Iterator[str]:
    """A name that is nobody else's."""
    name = f"confirms-{uuid.uuid4()}"
    yield name
    with App(broker=rabbit_url) as app, app.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)


@contextmanager
def reading(url: str, queue: str) -> Iterator[list[Any]]:
    """The first arguments of what comes to ``queue``: ``found()`` reads on."""
    with App(broker=url, task_default_queue=queue) as app, app.connection_for_read() as connection:
        bound, found = app.queue(queue)(connection.default_channel), Found()
        found.get = lambda: bound.get(no_ack=True)
        yield found


class Found(list[Any]):
    """What has been read."""

    get: Any

    def __call__(self) -> list[Any]:
        while (message := self.get()) is not None:
            self.append(json.loads(message.body)[0][0])
        return self


def test_a_call_waits_for_the_brokers_word(rabbit_server: RabbitServer, rabbit_url: str, queue: str) -> None:
    with (
        Proxy(rabbit_server.port) as proxy,
        App("proj", broker=proxy.url(rabbit_url), task_default_queue=queue) as app,
        reading(rabbit_url, queue) as found,
    ):
        app.send_task("t", (0,))
        proxy.freeze("down")
        thread = threading.Thread(target=app.send_task, args=("t", (1,)))
        thread.start()
        eventually(lambda: found() == [0, 1], within=20)
        assert thread.is_alive()  # the broker has it, and has not been heard
        proxy.resume()
        thread.join(20)
        assert not thread.is_alive()


def test_without_confirms_no_call_waits(rabbit_server: RabbitServer, rabbit_url: str, queue: str) -> None:
    settings = {**HASTY, "task_default_queue": queue}
    with (
        Proxy(rabbit_server.port) as proxy,
        App("proj", broker=proxy.url(rabbit_url), **settings) as app,
        reading(rabbit_url, queue) as found,
    ):
        add = app.task(name="proj.add")(lambda x: x)
        add.delay(0)
        proxy.freeze("down")
        for number in (1, 2):
            add.delay(number)
        app.send_many([(add, (3,)), (add, (4,))])
        group(add.s(5), add.s(6)).apply_async()
        eventually(lambda: found() == [0, 1, 2, 3, 4, 5, 6], within=20)
        proxy.resume()


def test_without_confirms_what_cannot_be_written_is_sent_again(
    rabbit_url: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: bytes) -> None:
        raise BrokenPipeError

    with (
        App("proj", broker=rabbit_url, task_default_queue=queue, **HASTY) as app,
        reading(rabbit_url, queue) as found,
    ):
        app.send_task("t", (0,))
        # What was written and not read yet would go with its connection: nothing else is promised here.
        eventually(lambda: found() == [0], within=20)
        with app.broker.seat() as seat:
            monkeypatch.setattr(seat.connection.connection.transport, "write", fail)
        app.send_many([("t", (number,)) for number in range(1, 4)])
        eventually(lambda: found() == [0, 1, 2, 3], within=20)
        with app.broker.seat() as seat:
            monkeypatch.setattr(seat.connection.connection.transport, "write", fail)
        with pytest.raises(UnavailableError):
            app.send_task("t", (4,), retry=False)
        assert found() == [0, 1, 2, 3]


SCRIPT = """
import atexit, sys
from workerd import App

app = App("proj", broker=sys.argv[1], task_default_queue=sys.argv[2])
app.conf.broker_transport_options = {"confirm_publish": False}
used = []
atexit.register(lambda: print("connected" if used[0].connected else "left"))  # after what comes later
for number in range(1000):
    app.send_task("t", (number,))
with app.broker.seat() as seat:
    used.append(seat.connection)
print("sent", flush=True)
sys.stdin.readline()
"""


def run_script(url: str, queue: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", SCRIPT, url, queue]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_without_confirms_a_process_that_ends_takes_its_leave(rabbit_url: str, queue: str) -> None:
    with run_script(rabbit_url, queue) as script:
        told, _ = script.communicate("\n", timeout=60)
    assert told.split() == ["sent", "left"]
    with reading(rabbit_url, queue) as found:
        assert found() == list(range(1000))  # a broker that has been left has read all


def test_a_broker_that_is_silent_does_not_keep_a_process(
    rabbit_server: RabbitServer, rabbit_url: str, queue: str
) -> None:
    with Proxy(rabbit_server.port) as proxy, run_script(proxy.url(rabbit_url), queue) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "sent\n"
        proxy.freeze()
        told, _ = script.communicate("\n", timeout=60)
        proxy.resume()
    assert script.returncode == 0
    assert told == "left\n"
