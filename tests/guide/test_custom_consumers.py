"""Custom consumers: both forms of callbacks, every answer to a message, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import ChannelError
from kombu import Connection, Exchange, Queue

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from workerd import App

Make = Callable[..., Workerd]

WORDS = Exchange("words", "topic")
QUEUE = Queue("words", WORDS, "words.#")
RAW = Queue("raw", WORDS, "raw")

STEP = """
from kombu import Consumer, Exchange, Queue
from tests.support.apps.ledger import app
from workerd import bootsteps

words = Exchange("words", "topic")
queue = Queue("words", words, "words.#")
raw = Queue("raw", words, "raw")


class Listener(bootsteps.ConsumerStep):
    def get_consumers(self, channel):
        return [
            Consumer(channel, queues=[queue], callbacks=[self.heard], accept=["json"]),
            Consumer(channel, queues=[raw], on_message=self.on_raw),
        ]

    def heard(self, body, message):
        again = message.delivery_info.get("redelivered", False) or message.headers.get("redelivered", False)
        print(f"heard {body['word']} again={bool(again)}")
        match body["word"]:
            case "requeue" if not again:
                message.requeue()
            case "reject":
                message.reject()
            case "keep":
                pass
            case "value":
                raise ValueError("of my own")
            case "network":
                raise ConnectionResetError("of another server")
            case "answer":
                with app.producer_or_acquire(None) as producer:
                    producer.send({"to": body}, exchange=words, routing_key="raw", declare=[raw], retry=True)
                message.ack()
            case _:
                message.ack()

    def on_raw(self, message):
        print(f"raw {len(message.body)} bytes of {message.content_type}: {message.decode()}")
        message.ack()

    def stop(self, c):
        super().stop(c)
        print("listener stops")


app.steps["consumer"].add(Listener)
"""


@pytest.fixture
def daemon(short_dir: Path, make: Make, server: Any, proxy: Proxy, redis_url: str) -> Workerd:
    (short_dir / "listening.py").write_text(STEP)
    with Connection(server.url) as connection, connection.channel() as channel:
        for queue in (QUEUE, RAW):
            queue(channel).delete()
    return make(app="listening", broker=proxy.url(server.url), backend=redis_url).start(size="1")


@pytest.fixture
def client(daemon: Workerd, server: Any) -> Iterator[App]:
    with App("client", broker=server.url, backend=daemon.backend) as app:
        yield app


def say(client: App, word: str, **options: Any) -> None:
    with client.producer_or_acquire(None) as producer:
        producer.publish({"word": word}, exchange=WORDS, routing_key="words.one", declare=[QUEUE], **options)


def waiting(client: App, queue: Queue) -> int:
    with client.connection_for_read() as connection, connection.channel() as channel:
        try:
            return int(queue(channel).queue_declare(passive=True).message_count)
        except ChannelError:  # Redis has no empty queues
            return 0


def test_messages_are_heard_answered_and_never_lost(daemon: Workerd, client: App, proxy: Proxy) -> None:
    say(client, "hello", retry=True)
    eventually(lambda: daemon.logged("WARNING.*heard hello again=False"))
    say(client, "requeue")
    eventually(lambda: daemon.logged("heard requeue again=True"))
    say(client, "answer")
    eventually(lambda: daemon.logged("raw 26 bytes of application/json: {'to': {'word': 'answer'}}"))
    say(client, "reject"), say(client, "keep")
    eventually(lambda: daemon.logged("heard keep again=False"))

    for word, error in (
        ("value", r"ValueError\('of my own'\)"),
        ("network", r"ConnectionResetError\('of another"),
    ):
        say(client, word)
        eventually(lambda error=error: daemon.logged(rf"Error in listening\.Listener\.heard: {error}"))
    say(client, "pickled", serializer="pickle")
    eventually(lambda: daemon.logged(r"Error in listening\.Listener\.heard: ContentDisallowed"))
    assert client.send_task("ledger.run", (1,)).get(timeout=30) == 1
    assert daemon.status()["link"]["restarts"] == 0  # none of that was the link's fault

    proxy.cut()
    eventually(lambda: daemon.status()["link"]["restarts"] == 1)
    eventually(lambda: daemon.logged("heard keep again=True"))
    say(client, "after")
    eventually(lambda: daemon.logged("heard after again=False"))

    gate = daemon.home / "gate"
    held = client.send_task("ledger.hold", (2, str(gate)))
    eventually(lambda: daemon.ran("start")[2] == 1)
    daemon.kill()
    eventually(lambda: daemon.status()["state"] == "draining")
    say(client, "late")
    say(client, "later")
    gate.touch()
    assert held.get(timeout=30) == 2
    assert daemon.wait() == 0
    assert not daemon.logged("heard late")
    assert daemon.text().count("listener stops") == 2
    # What was not acknowledged has gone back: keep, value, network and the pickle; two have come late.
    assert (waiting(client, QUEUE), waiting(client, RAW)) == (6, 0)


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("custom-consumers.md")
