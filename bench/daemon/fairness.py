"""One long task among many short ones on two slots: does a short one wait while a slot is free?

A short task waits while the other slot does nothing exactly when longer passes between the beginnings of two
short ones than the first of them takes.

Units: milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bench.daemon.brokers import Broker
from bench.daemon.contenders import CELERY, OURS, Contender
from bench.daemon.drain import CHILDREN
from bench.daemon.running import run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

SHORT, LONG = 0.002, 5.0
"""Seconds that a task takes."""

BEFORE, AFTER = 300, 700
"""Short tasks before the long one, by which the worker learns that tasks are short, and behind it."""

COLUMNS = (
    Column("longest", "longest wait, ms"),
    Column("seconds", "seconds in all", ",.1f"),
)


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker; of the peers Celery alone."""
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"fairness, {name}")

        def turn(contender: Contender, before: Figures, broker: Broker = broker) -> Figures:
            return fairness(contender, broker)

        turns = take_turns((OURS, CELERY), setting.rounds, turn, "longest")
        short = f"{BEFORE + AFTER:,} of {SHORT * 1000:.0f} ms"
        title = f"1 task of {LONG:.0f} s and {short}, {CHILDREN} children, {name}"
        yield Table(f"fairness {name}", title, COLUMNS, turns.found, turns.left_out)


def fairness(contender: Contender, broker: Broker) -> Figures:
    """One turn."""
    with run(contender, broker, BEFORE + 1 + AFTER) as it:
        it.send(count=BEFORE, sleep=SHORT)
        it.send(first=BEFORE, count=1, sleep=LONG)
        it.send(first=BEFORE + 1, sleep=SHORT)
        with it.worker(CHILDREN) as process:
            it.await_tasks(process, it.ledger.tasks)
        it.verify()
        began = list(it.ledger.began)
        del began[BEFORE]
        began.sort()
        longest = max(b - a for a, b in pairwise(began)) / 1e6 - SHORT * 1000
    return {"longest": max(longest, 0.0), "seconds": (began[-1] - began[0]) / 1e9}
