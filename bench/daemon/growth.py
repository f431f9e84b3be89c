"""How our cost grows: with the backlog, queues, children, the size of bodies, and tasks that are due later.

Each curve has one point for each value of what grows.  Where a queue holds more than is measured, the worker
is stopped when enough is done, and what it gives back is counted.

Units: tasks a second; of the supervisor, microseconds of CPU time a task and MB of resident memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from bench.daemon.brokers import Broker
from bench.daemon.contenders import CELERY, OURS, REDIS, SPREAD, Contender
from bench.daemon.drain import CHILDREN, emptied
from bench.daemon.proc import rss
from bench.daemon.running import run
from bench.daemon.setting import Setting
from bench.daemon.turns import Figures

MEASURED = 40_000
"""Tasks of a point: a second and more, so that a moment in which others want the cores is not the point."""


@dataclass(frozen=True)
class Curve:
    """What was found: a row for each point."""

    key: str
    title: str
    axis: str
    points: dict[int, Figures]


def measure(setting: Setting) -> Iterator[Curve]:
    """All curves; the quick ones have fewer points."""
    for name in setting.brokers:
        broker = setting.broker(name)
        for axis, (title, values, point) in CURVES.items():
            if setting.quick:
                values = values[:: len(values) - 1]  # noqa: PLW2901 (its ends)
            print(f"growth, {name}: {axis}")
            yield Curve(
                f"{axis} {name}", f"{title}, {name}", axis, points(broker, values, setting.rounds, point)
            )
    if REDIS in setting.brokers:
        broker = setting.broker(REDIS)
        for contender, values in (
            (OURS, (0, 1_000, 10_000, 100_000, 1_000_000)),
            (CELERY, (0, 1_000, 10_000, 50_000)),
        ):
            if setting.quick:
                values = values[:3:2]  # noqa: PLW2901
            print(f"growth, redis: ETA tasks, {contender.name}")
            found = {value: later(contender, broker, value) for value in values}
            yield Curve(f"eta {contender.name}", f"Tasks due in an hour, {contender.name}", "eta", found)


def points(
    broker: Broker, values: tuple[int, ...], rounds: int, point: Callable[[Broker, int], Figures]
) -> dict[int, Figures]:
    """Medians; the values take turns, as contenders do."""
    found: dict[int, list[Figures]] = {value: [] for value in values}
    for _ in range(rounds):
        for value in values:
            found[value].append(point(broker, value))
            print(f"  {value:>9,} {found[value][-1]['rate']:>9,.0f}/s", flush=True)
    return {
        value: {figure: median(each[figure] for each in all_of_it) for figure in all_of_it[0]}
        for value, all_of_it in found.items()
    }


def backlog(broker: Broker, waiting: int) -> Figures:
    """The rate while at least ``waiting`` messages wait."""
    with run(OURS, broker, waiting + MEASURED) as it:
        it.send()
        return emptied(it, MEASURED, CHILDREN)


def queues(broker: Broker, count: int) -> Figures:
    """The rate with the tasks spread over ``count`` queues."""
    with run(OURS, broker, MEASURED) as it:
        it.send(queues=count)
        return emptied(it, MEASURED, CHILDREN, ("--queues", ",".join(SPREAD[:count])))


def children(broker: Broker, count: int) -> Figures:
    """Tasks that sleep for so long that ``count`` children could do 100 a second.

    With one child they sleep for 10 ms, of which the kernel makes half a millisecond more.
    """
    with run(OURS, broker, 1_000) as it:
        it.send(sleep=count / 100, uneven=True)
        return emptied(it, it.ledger.tasks, count)


def bodies(broker: Broker, size: int) -> Figures:
    """The rate of tasks with one argument of ``size`` bytes."""
    with run(OURS, broker, MEASURED) as it:
        it.send(payload=size)
        return emptied(it, MEASURED, CHILDREN)


CURVES: dict[str, tuple[str, tuple[int, ...], Callable[[Broker, int], Figures]]] = {
    "backlog": ("Messages that wait", (1_000, 10_000, 100_000, 1_000_000), backlog),
    "queues": ("Queues", (1, 4, 16, 64), queues),
    "children": ("Children, of sleeping tasks", (1, 4, 16, 64), children),
    "bodies": ("Bytes of the body", (100, 1_000, 3_000, 10_000), bodies),
}


def later(contender: Contender, broker: Broker, tasks: int) -> Figures:
    """Memory of the supervisor once it has seen to so many tasks that are due in an hour."""
    with run(contender, broker, tasks + 1) as it:
        if tasks:
            it.send(count=tasks, countdown=3600)
        it.send(first=tasks, payload=1)
        with it.worker(CHILDREN) as process:
            it.await_fact(process, lambda: not broker.waiting(contender), lambda: broker.waiting(contender))
            it.await_tasks(process, 1)
            size = rss(process.pid)
        return {"rss": size}
