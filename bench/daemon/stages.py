"""Where the time of a task goes on its way to an idle worker: the same trickle as in ``latency``, with a time
at each stage.  Ours only.

Units: milliseconds; how long a stage took after the one before it, and how long after the call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from bench.daemon.apps.ledger import Ledger
from bench.daemon.brokers import Broker
from bench.daemon.contenders import OURS
from bench.daemon.drain import CHILDREN
from bench.daemon.latency import RATE, WARM
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, Found

STAGED = replace(OURS, name="workerd staged", command="workerd -A app_workerd_staged start --size {children}")

STAGES = (
    "the supervisor has the message",
    "its child has read it",
    "the task's first line",
)
RETURNED = "meanwhile: the call returns to the client"

COLUMNS = (
    Column("p50", "p50 ms", ",.2f"),
    Column("p90", "p90 ms", ",.2f"),
    Column("since", "p50 since the call", ",.2f"),
)


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    samples = 150 if setting.quick else 250
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"stages, {name}")
        found: Found = defaultdict(list)
        for _ in range(setting.rounds):
            for stage, figures in stages(broker, samples).items():
                found[stage].append(figures)
        yield Table(f"stages {name}", f"From a call to its first line, {name}", COLUMNS, dict(found))


def stages(broker: Broker, samples: int) -> dict[str, Figures]:
    """One turn."""
    with run(STAGED, broker, 2 * WARM + samples) as it:
        tasks = it.ledger.tasks
        stamps = Ledger.create(it.home / "stages", 3 * tasks)
        it.send(count=WARM)
        with it.worker(CHILDREN) as process:
            it.await_tasks(process, WARM)
            it.send("trickle", first=WARM, rate=RATE)
            it.await_tasks(process, tasks)
        it.verify()
        numbers = range(2 * WARM, tasks)
        returned, *times = [[stamps.began[part * tasks + n] for n in numbers] for part in range(3)]
        called, began = ([each[n] for n in numbers] for each in (it.ledger.sent, it.ledger.began))
    spans = zip(STAGES, pairwise([called, *times, began]), strict=True)
    found = {stage: _figures(before, after, called) for stage, (before, after) in spans}
    return found | {RETURNED: _figures(called, returned, called)}


def _figures(before: list[int], after: list[int], called: list[int]) -> Figures:
    taken, since = _sorted(before, after), _sorted(called, after)
    shares = {f"p{share}": taken[len(taken) * share // 100] for share in (50, 90)}
    return {**shares, "since": since[len(since) // 2]}


def _sorted(before: list[int], after: list[int]) -> list[float]:
    return sorted((b - a) / 1e6 for a, b in zip(before, after, strict=True))
