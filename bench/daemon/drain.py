"""How fast a full queue is emptied, and what that costs.

The queue is filled first; when the broker has nothing left to do for that, the worker is started.  The first
tenth of the tasks is not counted, so that no boot is measured.  Each contender gets as many tasks as take it
the same time.

Units: tasks a second; microseconds of CPU time a task, of the worker's first process (``own``), of its other
processes, and of the broker.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.daemon.brokers import Broker
from bench.daemon.contenders import REDIS, Contender
from bench.daemon.proc import cpu, cpu_with_the_dead, tree
from bench.daemon.running import Run, run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

COLUMNS = (
    Column("rate", "tasks/s"),
    Column("own", "CPU µs: own"),
    Column("others", "others"),
    Column("broker", "broker"),
    Column("all", "all"),
)
CHILDREN = 2


def measure(setting: Setting) -> Iterator[Table]:
    """The drain of each broker, without results and with results in Redis."""
    for name in setting.brokers:
        for stored in (False, True):
            if stored and setting.quick:
                continue
            broker = setting.broker(name)
            backend = setting.broker(REDIS).url if stored else ""
            print(f"drain, {name}{', results stored' if stored else ''}")

            def turn(
                contender: Contender, before: Figures, broker: Broker = broker, backend: str = backend
            ) -> Figures:
                rate = before.get("rate", dict(contender.rates)[broker.name])
                return drain(contender, broker, max(int(rate * setting.seconds), 200), backend=backend)

            turns = take_turns(setting.contenders(name), setting.rounds, turn, "rate")
            key = f"{'results' if stored else 'drain'} {name}"
            title = f"Drain, {name}, {CHILDREN} children" + (", results stored in Redis" if stored else "")
            yield Table(key, title, COLUMNS, turns.found, turns.left_out)


def drain(
    contender: Contender,
    broker: Broker,
    tasks: int,
    *,
    backend: str = "",
    children: int = CHILDREN,
    words: tuple[str, ...] = (),
) -> Figures:
    """One turn.  Errors: BenchError unless every task ran exactly once."""
    with run(contender, broker, tasks, backend=backend) as it:
        it.send()
        return emptied(it, tasks, children, words)


def emptied(it: Run, upto: int, children: int, words: tuple[str, ...] = ()) -> Figures:
    """Run a worker until so many tasks of a filled queue are done, and verify them."""
    first = upto // 10
    it.broker.rest()
    with it.worker(children, *words) as process:
        it.await_tasks(process, first)
        counted, before = it.ledger.done(), spent(process.pid, it.broker.pid)
        it.await_tasks(process, upto)
        done, after = it.ledger.done(), spent(process.pid, it.broker.pid)
    it.verify()
    began = it.ledger.in_order()
    seconds = (began[upto - 1] - began[first - 1]) / 1e9
    costs = [(b - a) / (done - counted) * 1e6 for a, b in zip(before, after, strict=True)]
    each = dict(zip(("own", "others", "broker"), costs, strict=True))
    return {"rate": (upto - first) / seconds, **each, "all": sum(costs)}


def spent(worker: int, broker: int) -> tuple[float, float, float]:
    """Seconds of CPU time so far."""
    return cpu(worker), cpu_with_the_dead(tree(worker)[1:]), cpu_with_the_dead([broker])
