"""Every signal in every state of a daemon's life, and storms of them (docs/reference/signals.md)."""

from __future__ import annotations

import os
import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import Signals
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]

APP = """
import pathlib, sys, time
from tests.support.apps.ledger import app
here = pathlib.Path(__file__).parent
who = "template" if "workerd_pool.template" in " ".join(sys.orig_argv) else "supervisor"
if (here / f"slow-{who}").exists():
    (here / f"importing-{who}").touch()
    while not (here / "go").exists():
        time.sleep(0.02)
"""


class Scene:
    """A daemon that is about to be brought into one state of its life."""

    def __init__(self, make: Make, home: Path, redis: RedisServer) -> None:
        self.make, self.home, self.redis = make, home, redis
        self.gate = home / "gate"
        (home / "tableapp.py").write_text(APP)
        self.daemon: Workerd

    def start(self, *, ready: bool = True, **options: Any) -> Workerd:
        self.daemon = self.make(app="tableapp", **options)
        self.daemon.start(ready=False, env={"WORKERD_DRAIN__GRACE": "1s"})
        if ready:
            # By its log: to ask for its status again and again is what takes most of the time here.
            eventually(lambda: self.daemon.logged(r"ready\."), within=60)
        return self.daemon

    def hold(self, task: str = "ledger.hold") -> None:
        with self.daemon.client() as app:
            app.send_task(task, (1, str(self.gate)))
        eventually(lambda: self.daemon.ran("start")[1] == 1)


@contextmanager
def importing(scene: Scene) -> Iterator[None]:
    (scene.home / "slow-supervisor").touch()
    scene.start(ready=False)
    eventually((scene.home / "importing-supervisor").exists)
    yield


@contextmanager
def mute(scene: Scene, scheme: str) -> Iterator[None]:
    """In the middle of a connect: somebody listens there and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scene.start(ready=False, broker=f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/")
        eventually(lambda: select.select([listener], [], [], 0)[0])
        yield


@contextmanager
def connecting(scene: Scene) -> Iterator[None]:
    with mute(scene, "redis"):
        yield


@contextmanager
def connecting_amqp(scene: Scene) -> Iterator[None]:
    with mute(scene, "amqp"):
        yield


@contextmanager
def running(scene: Scene) -> Iterator[None]:
    scene.start()
    scene.hold()
    yield


@contextmanager
def mingling(scene: Scene) -> Iterator[None]:
    """Connected a moment ago: the other nodes have been asked, and their answers are waited for."""
    scene.start(broker=scene.redis.url, backend=scene.redis.url)
    scene.hold()

    def asking() -> bool:
        text = scene.daemon.text()
        if text.count("Connected to") > text.count("mingle: "):
            return True
        scene.redis.drop_clients()  # it is over on this slow machine: every new link asks again
        return False

    eventually(asking, every=1.0)
    yield


@contextmanager
def reloading(scene: Scene) -> Iterator[None]:
    scene.start()
    scene.hold()
    (scene.home / "slow-template").touch()
    scene.daemon.kill(Signals.SIGHUP)
    eventually((scene.home / "importing-template").exists)
    yield


@contextmanager
def draining(scene: Scene) -> Iterator[None]:
    scene.start()
    scene.hold()
    scene.daemon.kill(Signals.SIGTERM)
    eventually(lambda: scene.daemon.logged("Draining: a stop was asked for"))
    yield


@contextmanager
def broker_frozen(scene: Scene) -> Iterator[None]:
    scene.start(broker=scene.redis.url, backend=scene.redis.url)
    scene.hold()
    scene.redis.pause()
    yield


@contextmanager
def broker_down(scene: Scene) -> Iterator[None]:
    scene.start(ready=False, broker="redis://127.0.0.1:1/0")
    eventually(lambda: scene.daemon.logged("No link to the broker"))
    yield


STATES = {
    state.__name__: state
    for state in (
        importing,
        connecting,
        connecting_amqp,
        running,
        mingling,
        reloading,
        draining,
        broker_frozen,
        broker_down,
    )
}
BUSY = {"running", "mingling", "reloading", "draining", "broker_frozen"}


@pytest.fixture
def enter(
    request: pytest.FixtureRequest, make: Make, short_dir: Path, redis_url: str, redis_server: RedisServer
) -> Iterator[Callable[[str], Scene]]:
    """``enter(state)``: a daemon that is in this state now."""
    with ExitStack() as stack:

        def begin(state: str) -> Scene:
            scene = Scene(make, short_dir, redis_server)
            stack.callback(redis_server.resume)
            stack.enter_context(STATES[state](scene))
            return scene

        yield begin


@pytest.mark.parametrize(
    ("state", "signum"),
    [
        *((state, signum) for state in STATES for signum in (Signals.SIGTERM, Signals.SIGQUIT)),
        ("importing", Signals.SIGINT),  # elsewhere it comes out of the inbox as TERM does
        ("connecting", Signals.SIGINT),
    ],
    ids=str,
)
def test_a_stop(enter: Callable[[str], Scene], state: str, signum: Signals) -> None:
    scene = enter(state)
    daemon = scene.daemon
    quit_asked = signum == Signals.SIGQUIT
    daemon.kill(signum)
    if state == "draining" and not quit_asked:

        def over() -> bool:  # until it is more than a second after the first, it is the same request
            daemon.kill(signum)
            return daemon.process is not None and daemon.process.poll() is not None

        eventually(over, every=0.3)
    elif state in BUSY and not quit_asked:
        eventually(lambda: daemon.logged("Draining: a stop was asked for"))
        scene.gate.touch()

    given_back = state == "draining" and not quit_asked
    assert daemon.wait() == (75 if given_back or state == "broker_frozen" else 0)
    if state in BUSY:
        assert daemon.ran("end")[1] == (0 if quit_asked or given_back else 1)
    if state == "mingling":  # nothing stays behind that other nodes would go on answering
        with scene.redis.client() as client:
            assert not [key for key in client.scan_iter("*") if b"pidbox" in key]
    if state.startswith("connecting"):
        # It has not waited for the connect to give up.
        assert not daemon.logged("No link to the broker")


@pytest.mark.parametrize("state", [state for state in STATES if state != "connecting_amqp"])
def test_what_does_not_stop(enter: Callable[[str], Scene], state: str) -> None:
    scene = enter(state)
    daemon = scene.daemon
    for signum in (Signals.SIGUSR1, Signals.SIGHUP, Signals.SIGTTIN, Signals.SIGTTOU):
        daemon.kill(signum)
    (scene.home / "go").touch()  # what is imported comes to an end
    eventually(lambda: daemon.logged(r"State: \{") and daemon.logged("most recent call first"))
    if state == "draining":
        eventually(lambda: daemon.text().count("Refused: the daemon is draining") == 3)
    else:
        sized = r"Slots wanted: 3(.|\n)*Slots wanted: 2"
        while_booting = r"Refused: the daemon is booting(.|\n)*Refused: the daemon is booting"
        eventually(lambda: daemon.logged(f"{sized}|{while_booting}"))
        eventually(lambda: daemon.logged(f"generation {3 if state == 'reloading' else 2} serves"), within=60)
    scene.gate.touch()
    daemon.kill(Signals.SIGTERM)
    scene.redis.resume()
    assert daemon.wait() == 0
    assert daemon.ran("end")[1] == (state in BUSY)


@pytest.mark.parametrize("state", ["reloading", "draining", "broker_down"])
def test_a_restart(enter: Callable[[str], Scene], state: str) -> None:
    scene = enter(state)
    daemon = scene.daemon
    daemon.kill(Signals.SIGUSR2)
    (scene.home / "go").touch()
    if state == "draining":
        eventually(lambda: daemon.logged("No restart: the daemon is draining"))
        scene.gate.touch()
    else:
        eventually(lambda: daemon.logged("Restart asked for"))
        scene.gate.touch()
        eventually(lambda: daemon.logged("Restarting: "))
        eventually(lambda: "Pool up: " in daemon.text().partition("Restarting: ")[2], within=60)
        daemon.kill(Signals.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.ran("end")[1] == (state in BUSY)


HARMLESS = (Signals.SIGHUP, Signals.SIGTTIN, Signals.SIGTTOU, Signals.SIGUSR1)


@pytest.mark.parametrize(
    ("state", "mix"),
    [
        ("importing", HARMLESS),
        ("running", (*HARMLESS, Signals.SIGUSR2)),
        ("running", (*HARMLESS, Signals.SIGUSR2, Signals.SIGTERM, Signals.SIGINT)),
        ("reloading", (*HARMLESS, Signals.SIGUSR2, Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT)),
        ("connecting", (*HARMLESS, Signals.SIGTERM, Signals.SIGQUIT)),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(one.name[3:] for one in value),
)
def test_a_storm_of_fifty_signals_in_a_second(
    enter: Callable[[str], Scene], rng: random.Random, state: str, mix: tuple[Signals, ...]
) -> None:
    scene = enter(state)
    daemon = scene.daemon
    if state in BUSY:
        with daemon.client() as app:
            for number in range(2, 12):
                app.send_task("ledger.run", (number, 0.05))
    daemon.kill(Signals.SIGCONT)  # only to remember who belongs to it
    for signum in rng.choices(mix, k=50):
        os.kill(daemon.pid, signum)
        time.sleep(0.02)  # no wait for anything: this is how fast they come
    (scene.home / "go").touch()
    scene.gate.touch()
    daemon.kill(Signals.SIGTERM)
    code = daemon.wait()
    assert code in ((0, 75) if Signals.SIGTERM in mix else (0,))
    assert "Traceback" not in daemon.text()
    if state in BUSY and set(daemon.ran()) != set(range(1, 12)):
        daemon.start(ready=False)  # nothing is lost by it
        eventually(lambda: set(daemon.ran()) == set(range(1, 12)), within=60)
        assert daemon.stop() == 0
