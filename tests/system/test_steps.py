"""Bootsteps of an app in a real daemon: order, life cycle, and what goes wrong in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

INFO = """
from workerd import App, bootsteps

class InfoStep(bootsteps.Step):
    def __init__(self, parent, **kwargs):
        print(f"{parent!r} is in init", flush=True)

    def start(self, parent):
        print(f"{parent!r} is starting")

    def stop(self, parent):
        print(f"{parent!r} is stopping")

    def shutdown(self, parent):
        print(f"{parent!r} is shutting down")

app = App("info")
app.steps["worker"].add(InfoStep)
app.steps["consumer"].add(InfoStep)
"""

CONSUMER = """
from kombu import Consumer, Exchange, Queue
from workerd import App, bootsteps

my_queue = Queue("custom", Exchange("custom"), "routing_key")
app = App("custom")

class MyConsumerStep(bootsteps.ConsumerStep):
    def get_consumers(self, channel):
        return [Consumer(channel, queues=[my_queue], callbacks=[self.handle_message], accept=["json"])]

    def handle_message(self, body, message):
        print(f"Received message: {body!r}")
        message.ack()

app.steps["consumer"].add(MyConsumerStep)

def send_me_a_message(who):
    with app.producer_or_acquire(None) as producer:
        producer.publish({"hello": who}, serializer="json", exchange=my_queue.exchange,
                         routing_key="routing_key", declare=[my_queue], retry=True)
"""

BROKEN = """
from workerd import App, bootsteps

class Fine(bootsteps.StartStopStep):
    requires = ("Pool",)
    def start(self, worker): print("fine starts")
    def stop(self, worker): print("fine stops")

class Broken(bootsteps.StartStopStep):
    requires = (Fine,)
    def {hook}(self, worker, **kwargs): raise RuntimeError("this step is broken")

app = App("broken")
app.steps["worker"].update([Fine, Broken])
"""

TIMER = """
from workerd import App, bootsteps

class Deadlock(bootsteps.StartStopStep):
    requires = ("Timer",)

    def __init__(self, worker, deadlock_timeout=3600):
        self.timeout, self.tref = deadlock_timeout, None

    def start(self, worker):
        self.tref = worker.timer.call_repeatedly(0.05, self.detect, (worker,), priority=10)

    def stop(self, worker):
        if self.tref:
            self.tref.cancel()
            self.tref = None

    def detect(self, worker):
        for req in worker.active_requests:
            raise SystemExit(3)

from tests.support.apps.ledger import app
app.steps["worker"].add(Deadlock)
"""


WORKER = (
    "Hub, Timer, StateDB, Broker, Results, Pool, Autoreloader, Autoscaler, Beat, Socket, InfoStep, Consumer"
)
CONSUMER_ORDER = "Connection, Events, Mingle, Gossip, Heart, Agent, Tasks, Control, InfoStep, event loop"

Write = Callable[[str], Workerd]


@pytest.fixture
def write(short_dir: Path, make: Callable[..., Workerd]) -> Write:
    """A daemon, not started, of an app with this text."""

    def one(text: str) -> Workerd:
        (short_dir / "stepapp.py").write_text(text)
        return make(app="stepapp")

    return one


def test_a_plain_step_takes_part_in_both_blueprints(write: Write) -> None:
    daemon = write(INFO).start("-l", "debug")
    assert daemon.stop() == 0
    text = daemon.text()

    assert text.count(" is in init") == 2
    assert text.count("is starting") == text.count("is stopping") == text.count("is shutting down") == 2
    assert f"| Worker: New boot order: {{{WORKER}}}" in text
    assert f"| Consumer: New boot order: {{{CONSUMER_ORDER}}}" in text
    assert "^-- substep ok" in text


def test_a_custom_consumer_gets_its_messages_also_after_a_reconnect(write: Write) -> None:
    daemon = write(CONSUMER).start("-l", "debug")
    send = "import stepapp; stepapp.send_me_a_message({!r})"

    def run(who: str) -> None:
        subprocess.run([sys.executable, "-c", send.format(who)], env=daemon.env, cwd=daemon.home, check=True)

    run("workerd")
    eventually(lambda: daemon.logged("Received message: {'hello': 'workerd'}"))
    broker = next(p for p in daemon.descendants() if "valkey" in p.name())
    broker.kill()
    eventually(lambda: daemon.status()["link"]["restarts"] >= 1)
    eventually(lambda: daemon.status()["link"]["state"] == "up")
    run("again")
    eventually(lambda: daemon.logged("Received message: {'hello': 'again'}"))
    assert daemon.stop() == 0


@pytest.mark.parametrize("hook", ["start", "__init__"])
def test_a_step_that_raises_at_the_start_ends_the_daemon_with_what_was_started_undone(
    write: Write, hook: str
) -> None:
    daemon = write(BROKEN.replace("{hook}", hook))
    daemon.start(ready=False)
    assert daemon.wait() == 70
    text = daemon.text()
    assert "this step is broken" in text and "Broken" in text
    assert text.count("fine starts") == text.count("fine stops") == (1 if hook == "start" else 0)


def test_a_step_that_raises_in_its_stop_holds_up_nothing(write: Write) -> None:
    daemon = write(BROKEN.replace("{hook}", "stop")).start("-l", "debug")
    assert daemon.stop() == 0
    assert daemon.logged("Error on stopping Broken: RuntimeError")
    assert daemon.logged("fine stops")


def test_a_system_exit_of_a_timer_callback_stops_the_daemon_with_its_code(write: Write) -> None:
    daemon = write(TIMER).start("-l", "debug")
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(daemon.home / "never")))
        assert daemon.wait() == 3
    assert daemon.logged("given back to celery")
