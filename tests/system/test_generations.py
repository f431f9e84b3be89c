"""What a consumer step has registered ends with its link; the next link begins with the step's start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from tests.system.conftest import Make, Start
from workerd import App

STEP = """
import os
import time
from functools import partial

from tests.support.apps.ledger import app, note
from workerd import bootsteps

class Busy(bootsteps.StartStopStep):
    '''Registers in every way that a hub has, and never takes anything back.'''
    requires = ("Tasks",)
    generation = 0

    def start(self, c):
        self.generation += 1
        mark = partial(note, number=self.generation)
        c.timer.call_repeatedly(0.02, mark, ("timer",))
        c.hub.call_repeatedly(0.02, mark, "hub-timer")
        c.hub.on_tick.add(partial(mark, "tick"))
        self.again(c.hub, mark)
        ours, theirs = os.pipe()
        os.write(theirs, b"!")  # readable for ever
        c.hub.add_reader(ours, self.readable, c.hub, mark)

    def again(self, hub, mark):
        mark("soon")
        hub.call_later(0.02, self.again, hub, mark)

    def readable(self, hub, mark):
        mark("readable")
        time.sleep(0.02)  # else the loop would do nothing else

app.steps["consumer"].add(Busy)
"""
WORDS = ("timer", "hub-timer", "tick", "soon", "readable")


def fired(daemon: Workerd) -> list[tuple[str, int]]:
    rows = [line.split() for line in daemon.ledger.read_text().splitlines()] if daemon.ledger.exists() else []
    return [(word, int(number)) for word, number, *_ in rows]


def test_nothing_of_a_lost_link_fires(short_dir: Path, make: Make, proxy: Proxy, server: Any) -> None:
    (short_dir / "busy.py").write_text(STEP)
    daemon = make(app="busy", broker=proxy.url(server.url))
    daemon.env["PYTHONPATH"] += f":{short_dir}"
    daemon.start()
    for generation, fault in enumerate((proxy.cut, proxy.reset, proxy.cut), start=1):
        eventually(lambda: set(WORDS) <= {word for word, number in fired(daemon) if number == generation})  # noqa: B023
        fault()
    eventually(lambda: {(word, 4) for word in WORDS} <= set(fired(daemon)))
    assert daemon.stop() == 0
    numbers = [number for _, number in fired(daemon)]
    assert numbers == sorted(numbers)
    assert not daemon.logged("ERROR|Traceback")


def test_a_replica_that_is_promoted_goes_on_with_what_its_master_had(
    start: Start, tmp_path: Path, redis_url: str
) -> None:
    master, replica = RedisServer(tmp_path / "master"), RedisServer(tmp_path / "replica")
    replica.options = ["--replicaof", "127.0.0.1", str(master.port)]
    master.start()
    replica.start()
    try:
        daemon = start(broker=f"{master.url};{replica.url}", backend=redis_url, size="1")
        gate = daemon.home / "gate"
        with App("client", broker=master.url, backend=redis_url) as app, replica.client() as client:
            sent = [app.send_task("ledger.hold", (number, str(gate))) for number in range(3)]
            eventually(lambda: daemon.ran("start")[0] == 1)
            eventually(lambda: (client.hlen("unacked"), client.llen("celery")) == (1, 2))
            master.kill()
            # Nobody can take work from a replica; the list is gone through until one is a master.
            eventually(lambda: "is a read-only replica" in daemon.degraded())
            gate.touch()
            eventually(lambda: daemon.ran()[0] == 1)
            client.replicaof("NO", "ONE")
            assert [one.get(timeout=60) for one in sent] == [0, 1, 2]
            eventually(lambda: not client.exists("unacked", "unacked_index", "celery"))
        assert daemon.status()["link"]["broker"] == replica.url
        assert daemon.stop() == 0
        assert daemon.ran("start") == {0: 1, 1: 1, 2: 1}
    finally:
        master.stop()
        replica.stop()
