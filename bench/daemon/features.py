"""What a feature of ours costs: the drain with it beside the drain without it.

Units: as of ``drain``; of the events of tasks, the share that a monitor has heard (they are best effort),
and the CPU time that it took to hear them, which is not in ``all``, but is taken from the same processors.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from bench.daemon.brokers import Broker
from bench.daemon.contenders import APPS, OURS, Contender, variant
from bench.daemon.drain import CHILDREN, drain, emptied
from bench.daemon.drain import COLUMNS as DRAIN
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

FIXED_PREFETCH = variant("fixed prefetch")
EVENTS = variant("events", "-E")
RATE_LIMITS = variant("rate limits")

COLUMNS = (*DRAIN, Column("monitor", "monitor"), Column("heard", "events heard", ".0%"))
DEAF = {"monitor": 0.0, "heard": 0.0}

WAITING = 200
"""Messages of rate-limited tasks before the others."""


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"features, {name}")

        def turn(contender: Contender, before: Figures, broker: Broker = broker) -> Figures:
            tasks = int(before.get("rate", dict(OURS.rates)[broker.name]) * setting.seconds)
            if contender is RATE_LIMITS:
                return beside_limited(broker, tasks)
            if contender is EVENTS:
                return heard(broker, tasks)
            return drain(contender, broker, tasks) | DEAF

        variants = (OURS, FIXED_PREFETCH, EVENTS, RATE_LIMITS)
        turns = take_turns(variants, setting.rounds, turn, "rate")
        yield Table(f"features {name}", f"Features of ours, {name}", COLUMNS, turns.found, turns.left_out)


def beside_limited(broker: Broker, tasks: int) -> Figures:
    """Of ten rate-limited tasks one call each runs; the others wait, while ``tasks`` plain ones go by."""
    with run(RATE_LIMITS, broker, tasks + WAITING) as it:
        it.send("fill", first=tasks, limited=True)
        it.send(count=tasks)
        return emptied(it, tasks, CHILDREN) | DEAF


def heard(broker: Broker, tasks: int) -> Figures:
    """The drain while a monitor listens to events, of which there are three for each task."""
    command = [sys.executable, str(APPS / "listen.py"), broker.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        monitor.stdout.readline()  # it listens
        try:
            found = drain(EVENTS, broker, tasks)
        finally:
            monitor.terminate()
            events, seconds = monitor.stdout.readline().split()
    return found | {"monitor": float(seconds) / tasks * 1e6, "heard": int(events) / (3 * tasks)}
