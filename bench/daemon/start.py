"""From the exec of a worker to its first task: one task waits in a broker that runs.

Units: seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.daemon.brokers import Broker
from bench.daemon.contenders import Contender
from bench.daemon.drain import CHILDREN
from bench.daemon.proc import cpu_with_the_dead, tree
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

COLUMNS = (Column("seconds", "seconds", ",.2f"), Column("cpu", "CPU s, all processes", ",.2f"))


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"start, {name}")

        def turn(contender: Contender, before: Figures, broker: Broker = broker) -> Figures:
            return start(contender, broker)

        turns = take_turns(setting.contenders(name), setting.once, turn, "seconds")
        yield Table(
            f"start {name}", f"From exec to the first task, {name}", COLUMNS, turns.found, turns.left_out
        )


def start(contender: Contender, broker: Broker) -> Figures:
    """One turn."""
    with run(contender, broker, 1) as it:
        it.send()
        began = time.monotonic_ns()
        with it.worker(CHILDREN) as process:
            it.await_tasks(process, 1)
            cpu = cpu_with_the_dead(tree(process.pid))
        it.verify()
        return {"seconds": (it.ledger.began[0] - began) / 1e9, "cpu": cpu}
