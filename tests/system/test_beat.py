"""Beat with real daemons: one of several sends, whatever becomes of it; and what is remembered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from workerd import App
from workerd.beat.record import State
from workerd.beat.seat import open_seat

Start = Callable[..., Workerd]

APP = """
import os, time
from workerd import App, signals
from tests.support.apps.ledger import note

app = App("ticking{unique}")

@app.task(bind=True, name="tick")
def tick(self):
    note(f"tick {{time.time()}}", self.request.id)

@signals.beat_init.connect
def beat(sender, **words):
    note("beat_init", os.getpid())

@signals.beat_embedded_init.connect
def embedded(sender, **words):
    note("beat_embedded_init", os.getpid())

@app.on_after_configure.connect
def periodic(sender, **words):
    sender.add_periodic_task({every}, tick.s(), name="tick", queue="ticks{unique}")
"""
LEASE = 2.0


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.long)])
def url(request: pytest.FixtureRequest) -> str:
    name = "redis_url" if request.param == "redis" else "rabbit_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.long)])
def urls(request: pytest.FixtureRequest) -> dict[str, str]:
    name = "redis_url" if request.param == "redis" else "rabbit_url"
    return {"broker": request.getfixturevalue(name)}


@pytest.fixture
def ticking(short_dir: Path) -> Callable[[float], str]:
    """``ticking(every)``: an app that no other test has, in ``short_dir``."""

    def one(every: float) -> str:
        unique = f"{os.getpid()}{time.monotonic_ns()}"
        (short_dir / "ticking.py").write_text(APP.format(every=every, unique=unique))
        return f"ticks{unique}"

    return one


@pytest.fixture
def beat(short_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``beat(daemon)``: ``workerd beat`` as a process; all are gone at the end."""
    running: list[subprocess.Popen[str]] = []

    def one(daemon: Workerd, *words: str) -> subprocess.Popen[str]:
        with (daemon.home / "beat.log").open("a") as log:
            process = subprocess.Popen(
                daemon.argv("-A", "ticking", "beat", "--broker", str(daemon.broker), *words),
                env=daemon.env,
                cwd=daemon.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        running.append(process)
        return process

    yield one
    for process in running:
        process.kill()
        process.wait(30)
    print((short_dir / "beat.log").read_text() if (short_dir / "beat.log").exists() else "")


def ticks(ledger: Path) -> list[tuple[float, str]]:
    """(when it ran, its id), of every tick that ran."""
    rows = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    return [(float(row[1]), row[2]) for row in rows if row[0] == "tick"]


def leader(daemons: list[Workerd]) -> Workerd | None:
    return next((daemon for daemon in daemons if daemon.status()["beat"].get("leads")), None)


def test_a_leader_that_is_killed_is_followed_within_its_lease_and_no_tick_runs_twice(
    start: Start, short_dir: Path, urls: dict[str, str], ticking: Callable[[float], str]
) -> None:
    queue, ledger = ticking(0.5), short_dir / "ledger"
    env = {
        "LEDGER": str(ledger),
        "PYTHONPATH": f"{short_dir}:{os.environ.get('PYTHONPATH', '')}:{Path.cwd()}",
    }
    env["WORKERD_BEAT__LEASE"] = str(LEASE)
    daemons = [
        start(home=name, name=name, app="ticking", size="1", env=env, words=("-B", "-Q", queue), **urls)
        for name in ("a", "b", "c")
    ]
    first = eventually(lambda: leader(daemons))
    assert first is not None
    eventually(lambda: len(ticks(ledger)) >= 3)
    assert [daemon for daemon in daemons if daemon.status()["beat"].get("leads")] == [first]
    assert "sends 1 periodic task, next tick at" in first.run("status").stdout
    # It must not give up its seat in good order, which it would when its daemon dies before it.
    pid = first.status()["beat"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    first.kill(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    left = [daemon for daemon in daemons if daemon is not first]
    after = eventually(lambda: [when for when, _ in ticks(ledger) if when > killed + 0.5])
    assert eventually(lambda: leader(left)) in left
    assert after[0] - killed <= LEASE + 2.0
    count = len(ticks(ledger))
    eventually(lambda: len(ticks(ledger)) >= count + 3)
    # One that leaves in good order is followed at once.
    second = leader(left)
    assert second is not None
    assert second.stop() == 0
    count = len(ticks(ledger))
    eventually(lambda: len(ticks(ledger)) >= count + 3)
    ids = [one for _, one in ticks(ledger)]
    assert len(ids) == len(set(ids))
    told = ledger.read_text()
    assert told.count("beat_init ") == told.count("beat_embedded_init ") == 3


def state_of(cluster: str, url: str) -> State:
    """What beats of this cluster remember at its broker."""
    seat = open_seat(App(broker=url), cluster, "test@here", LEASE)
    try:
        return seat.read()
    finally:
        seat.close()


@pytest.mark.long
def test_a_beat_of_its_own_remembers_over_restarts_and_lets_entries_rest(
    make: Callable[..., Workerd],
    short_dir: Path,
    url: str,
    ticking: Callable[[float], str],
    beat: Callable[..., subprocess.Popen[str]],
) -> None:
    cluster = ticking(0.5).replace("ticks", "ticking")
    daemon = make(app="ticking", broker=url)

    def verb(*words: str) -> Any:
        done = daemon.run("-A", "ticking", "beat", *words, "--broker", url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def total() -> int:
        found = state_of(cluster, url).entries
        return found["tick"].total if found else 0

    first = beat(daemon)
    eventually(lambda: total() >= 2, every=0.2)
    (row,) = json.loads(verb("list", "--json"))
    assert (row["name"], row["task"], row["schedule"], row["paused"]) == (
        "tick",
        "tick",
        "every 0.5 s",
        False,
    )
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    before = total()
    assert verb("pause", "tick") == "tick rests\n"
    second = beat(daemon)
    eventually(lambda: "tick" in state_of(cluster, url).paused)
    eventually(lambda: "tick: tick, every 0.5 s; paused; sent" in verb("list"))
    rested = total()
    assert before <= rested <= before + 1  # a tick may have come before the order was read
    log = short_dir / "beat.log"
    assert len(verb("run", "tick").strip()) == 36
    assert verb("resume", "tick") == "tick runs as scheduled\n"
    eventually(lambda: total() >= rested + 2, every=0.2)
    second.send_signal(signal.SIGINT)
    assert second.wait(30) == 0
    assert log.read_text().count("this node sends the periodic tasks of ticking") == 2
    assert "beat_embedded_init" not in daemon.ledger.read_text()
    missing = daemon.run("-A", "ticking", "beat", "run", "tock", "--broker", url)
    assert (missing.returncode, missing.stderr) == (
        78,
        "workerd: there is no periodic task 'tock'; did you mean 'tick'?\n",
    )


def test_a_broker_that_goes_away_is_told_once_and_the_ticks_go_on(
    make: Callable[..., Workerd],
    short_dir: Path,
    server: Any,
    ticking: Callable[[float], str],
    beat: Callable[..., subprocess.Popen[str]],
) -> None:
    ticking(0.5)
    daemon = make(app="ticking", broker=server.url)
    process = beat(daemon)
    log = short_dir / "beat.log"
    eventually(lambda: log.read_text().count("sent tick") >= 2)
    server.stop()
    eventually(lambda: "no periodic task is sent, trying again" in log.read_text())
    server.start()
    eventually(lambda: "the broker is back" in log.read_text(), within=60.0)
    count = log.read_text().count("sent tick")
    eventually(lambda: log.read_text().count("sent tick") >= count + 2)
    assert log.read_text().count("no periodic task is sent") == 1
    sent = [line.partition("[")[2].partition("]")[0] for line in log.read_text().split("sent tick")[1:]]
    assert len(sent) == len(set(sent))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_new_code_is_a_new_schedule_and_a_beat_that_dies_is_started_again(
    make: Callable[..., Workerd], short_dir: Path, ticking: Callable[[float], str]
) -> None:
    ticking(60.0)
    daemon = make(app="ticking").start("-B", size="1")
    found = eventually(lambda: (beat := daemon.status()["beat"]).get("leads") and beat)
    assert (found["entries"], found["name"], found["restarts"]) == (1, "tick", 0)
    file = short_dir / "ticking.py"
    file.write_text(file.read_text() + "    sender.add_periodic_task(30, tick.s(), name='tock')\n")
    assert daemon.run("reload").returncode == 0
    reloaded = eventually(lambda: (beat := daemon.status()["beat"]).get("entries") == 2 and beat)
    assert reloaded["pid"] != found["pid"]
    os.kill(reloaded["pid"], signal.SIGKILL)
    eventually(lambda: daemon.logged(r"The beat ended with signal 9; starting again in 0\.0 s"))
    eventually(lambda: daemon.status()["beat"].get("leads"), within=30.0)
    assert daemon.status()["beat"]["restarts"] == 1
    assert daemon.stop() == 0
    daemon.leaves_nothing()
