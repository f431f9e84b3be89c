"""How long an idle worker needs to begin a task: from the call in the client to the first line of the task.

50 tasks a second, one by one; the client is the contender's own, and what it takes to send is part of it.

Units: milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.daemon.brokers import Broker
from bench.daemon.contenders import Contender
from bench.daemon.drain import CHILDREN
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

RATE = 50.0
WARM = 50
"""Tasks before those that count: in the worker, then in the client."""

COLUMNS = (
    Column("p50", "p50 ms", ",.2f"),
    Column("p90", "p90 ms", ",.2f"),
    Column("p99", "p99 ms", ",.2f"),
)


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    samples = 100 if setting.quick else 250
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"latency, {name}")

        def turn(contender: Contender, before: Figures, broker: Broker = broker) -> Figures:
            return latency(contender, broker, samples)

        turns = take_turns(setting.contenders(name), setting.once, turn, "p50")
        yield Table(
            f"latency {name}",
            f"Latency of an idle worker, {name}, {RATE:.0f} tasks a second",
            COLUMNS,
            turns.found,
            turns.left_out,
        )


def latency(contender: Contender, broker: Broker, samples: int) -> Figures:
    """One turn."""
    with run(contender, broker, 2 * WARM + samples) as it:
        it.send(count=WARM)
        with it.worker(CHILDREN) as process:
            it.await_tasks(process, WARM)
            it.send("trickle", first=WARM, rate=RATE)
            it.await_tasks(process, it.ledger.tasks)
        it.verify()
        waits = sorted(
            (it.ledger.began[number] - it.ledger.sent[number]) / 1e6
            for number in range(2 * WARM, it.ledger.tasks)
        )
    return {f"p{share}": waits[len(waits) * share // 100] for share in (50, 90, 99)}
