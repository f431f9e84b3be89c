"""Where the supervisor's time goes: its CPU time a message, by the layer whose code spends it.

The shares are those of a run under ``cProfile``, which makes short functions look dearer than they are; the
sum is that of a run without.

Units: microseconds of CPU time a message; per cent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from bench.daemon.brokers import Broker
from bench.daemon.contenders import OURS
from bench.daemon.drain import CHILDREN, drain, emptied
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, Found

PROFILED = replace(
    OURS, name="workerd profiled", command="workerd -A app_workerd_profiled start --size {children}"
)

LAYERS = {
    "waiting for the kernel's answer": "epoll",
    "system calls": "<",
    "source: broker": "/workerd/source/",
    "transport: Redis link": "/workerd/transport/",
    "protocol: reading messages": "/workerd/protocol/",
    "delivery: deciding and settling": "/workerd/delivery/",
    "pool: children": "/workerd_pool/",
    "backends: results": "/workerd/backends/",
    "run file": "/workerd/worker/state/",
    "log": "/logging/",
    "log of ours": "/workerd/worker/log/",
    "loop and timers": "/workerd/worker/",
    "kombu, py-amqp": "/site-packages/",
}
"""By what the name of a file or of a built-in function holds; the first that fits."""

COLUMNS = (Column("us", "µs", ",.1f"), Column("share", "%", ",.0f"))


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"layers, {name}")
        found: Found = defaultdict(list)
        for _ in range(setting.once):
            for layer, figures in layers(broker, int(dict(OURS.rates)[name] * setting.seconds)).items():
                found[layer].append(figures)
        yield Table(f"layers {name}", f"The supervisor's CPU time a message, {name}", COLUMNS, dict(found))


def layers(broker: Broker, tasks: int) -> dict[str, Figures]:
    """One plain run and one under the profiler."""
    own = drain(OURS, broker, tasks)["own"]
    with run(PROFILED, broker, tasks) as it:
        it.send()
        emptied(it, tasks, CHILDREN)
        by_file: dict[str, float] = json.loads((it.home / "layers.json").read_text())
    spent: dict[str, float] = dict.fromkeys([*LAYERS, "other"], 0.0)
    for where, seconds in by_file.items():
        spent[next((layer for layer, part in LAYERS.items() if part in where), "other")] += seconds
    del spent["waiting for the kernel's answer"]
    whole = sum(spent.values())
    return {
        layer: {"us": seconds / whole * own, "share": seconds / whole * 100}
        for layer, seconds in sorted(spent.items(), key=lambda item: -item[1])
    }
