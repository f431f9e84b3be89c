"""What the daemon aims at, and whether a run has found it so.

Ratios are those of turns in the same run; an aim is met when the median meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from bench.daemon.contenders import CELERY, HUEY, OURS, RABBITMQ, REDIS
from bench.daemon.enqueue import NO_CONFIRMS
from bench.daemon.growth import Curve
from bench.daemon.setting import Table
from bench.daemon.turns import best, ratios, spread


@dataclass(frozen=True)
class Finding:
    """What was found, in words, and whether that is what was aimed at."""

    text: str
    met: bool


class Facts:
    """The tables and curves of a run.  KeyError where something was not measured."""

    def __init__(self, tables: Mapping[str, Table], curves: Mapping[str, Curve]) -> None:
        self._tables, self._curves = tables, curves

    def times(
        self, key: str, figure: str, least: float, *, of: str = "", base: str = "", by: str = OURS.name
    ) -> Finding:
        """Ours at least ``least`` times the figure of the peer ``of``, or of the best one.

        ``base`` is the table of the peer's figure where it is another one; ``by`` a variant of ours.
        """
        found = dict(self._tables[key].found)
        if base:
            found = {OURS.name: found[OURS.name], of: self._tables[base].found[of]}
        peers = [name for name in found if name != OURS.name]
        name = of or best(found, figure, peers)
        ratio = ratios(found, figure, by, name)
        return Finding(f"{ratio:.2f} x {name}", ratio.median >= least)

    def at_most(self, key: str, figure: str, limit: float, form: str = ",.1f") -> Finding:
        """Ours no more than ``limit``."""
        value = spread(self._tables[key].found, OURS.name, figure)
        return Finding(format(value, form), value.median <= limit)

    def at_most_its(self, key: str, figure: str, share: float, *, of: str = "") -> Finding:
        """Ours no more than ``share`` of the figure of the peer ``of``, or of the one that has the least."""
        found = self._tables[key].found
        name = of or best(found, figure, [name for name in found if name != OURS.name], least=True)
        ratio = ratios(found, figure, OURS.name, name)
        return Finding(f"{ratio:.2f} x {name}", ratio.median <= share)

    def kept(self, key: str, share: float, of: str, *, by: str = OURS.name) -> Finding:
        """Of the rate of one variant of ours, another keeps at least ``share``."""
        ratio = ratios(self._tables[key].found, "rate", by, of)
        return Finding(f"{ratio:.2f}", ratio.median >= share)

    def flat(self, key: str, figure: str = "rate") -> Finding:
        """Every point within 10 % of the middle one."""
        points = self._curves[key].points
        middle = median(point[figure] for point in points.values())
        least, most = (f(point[figure] for point in points.values()) / middle for f in (min, max))
        return Finding(f"{least:.2f} - {most:.2f} of the middle", least >= 0.9 and most <= 1.1)

    def no_steeper_than_bytes(self, key: str) -> Finding:
        """CPU time a task: no point more than 10 % above the straight line between the ends."""
        points = self._curves[key].points
        (small, *_, large) = points
        a, b = points[small]["own"], points[large]["own"]
        slope = (b - a) / (large - small)
        most = max(point["own"] / (a + slope * (x - small)) for x, point in points.items())
        return Finding(f"{a:.0f} µs + {slope * 1000:.1f} µs a kB; {most:.2f} of that", most <= 1.1)

    def same_memory(self, key: str) -> Finding:
        """Resident memory with the most tasks at most a tenth above that with a thousand."""
        points = self._curves[key].points
        few, most = points[1_000 if 1_000 in points else min(points)]["rss"], points[max(points)]["rss"]
        return Finding(f"{few:.0f} MB, with {max(points):,} tasks {most:.0f} MB", most <= few * 1.1)


@dataclass(frozen=True)
class Aim:
    """One line of the table."""

    measure: str
    aim: str
    look: Callable[[Facts], Finding]


def _both(measure: str, aim: str, look: Callable[[Facts, str], Finding]) -> list[Aim]:
    """The same aim on each broker."""

    def on(name: str) -> Aim:
        return Aim(f"{measure}, {name}", aim, lambda facts: look(facts, name))

    return [on(REDIS), on(RABBITMQ)]


AIMS = [
    Aim("drain, redis", "≥ 15 x Celery", lambda f: f.times("drain redis", "rate", 15, of=CELERY.name)),
    Aim("drain, redis", "≥ 3 x the best peer", lambda f: f.times("drain redis", "rate", 3)),
    Aim("drain, rabbitmq", "≥ 4 x Celery", lambda f: f.times("drain rabbitmq", "rate", 4, of=CELERY.name)),
    Aim("drain, rabbitmq", "≥ 1.7 x the best peer", lambda f: f.times("drain rabbitmq", "rate", 1.7)),
    *_both(
        "drain, results in Redis",
        "≥ 6 x Celery",
        lambda f, b: f.times(f"results {b}", "rate", 6, of=CELERY.name),
    ),
    *_both(
        "enqueue, one by one", "≥ 3 x Celery", lambda f, b: f.times(f"fill {b}", "rate", 3, of=CELERY.name)
    ),
    Aim(
        "enqueue, one by one, rabbitmq, with Celery's promise (no confirms)",
        "≥ 3 x Celery",
        lambda f: f.times("fill rabbitmq", "rate", 3, of=CELERY.name, by=NO_CONFIRMS.name),
    ),
    *_both(
        "enqueue, many at once",
        "≥ 10 x Celery one by one",
        lambda f, b: f.times(f"batch {b}", "rate", 10, of=CELERY.name, base=f"fill {b}"),
    ),
    Aim("latency p50, redis", "≤ huey", lambda f: f.at_most_its("latency redis", "p50", 1, of=HUEY.name)),
    *_both("latency p99", "below every peer", lambda f, b: f.at_most_its(f"latency {b}", "p99", 1)),
    Aim("supervisor's CPU a task, redis", "≤ 35 µs", lambda f: f.at_most("drain redis", "own", 35)),
    Aim("supervisor's CPU a task, rabbitmq", "≤ 50 µs", lambda f: f.at_most("drain rabbitmq", "own", 50)),
    *_both("exec to the first task", "≤ 0.5 s", lambda f, b: f.at_most(f"start {b}", "seconds", 0.5, ".2f")),
    *_both(
        "idle memory, 2 children",
        "≤ 60 % of Celery",
        lambda f, b: f.at_most_its(f"idle {b}", "few", 0.6, of=CELERY.name),
    ),
    *_both(
        "idle memory, 8 children",
        "≤ 60 % of Celery",
        lambda f, b: f.at_most_its(f"idle {b}", "many", 0.6, of=CELERY.name),
    ),
    *_both("memory of a further child", "≤ 6 MB", lambda f, b: f.at_most(f"idle {b}", "each", 6)),
    *_both("idle CPU a minute", "≤ 0.1 s", lambda f, b: f.at_most(f"idle {b}", "cpu", 0.1, ".3f")),
    Aim("idle reads of Redis", "≤ 2 a second", lambda f: f.at_most("idle redis", "reads", 2)),
    *_both("connections to the broker", "≤ 3", lambda f, b: f.at_most(f"idle {b}", "connections", 3, ".0f")),
    *_both("rate from 10³ to 10⁶ waiting messages", "± 10 %", lambda f, b: f.flat(f"backlog {b}")),
    *_both("rate from 1 to 64 queues", "± 10 %", lambda f, b: f.flat(f"queues {b}")),
    *_both("rate from 1 to 64 children, sleeping tasks", "± 10 %", lambda f, b: f.flat(f"children {b}")),
    *_both("CPU from 100 B to 10 kB", "∝ bytes", lambda f, b: f.no_steeper_than_bytes(f"bodies {b}")),
    Aim("supervisor's memory, ETA tasks", "flat", lambda f: f.same_memory(f"eta {OURS.name}")),
    *_both(
        "short tasks beside a long one",
        "wait ≤ 250 ms",
        lambda f, b: f.at_most(f"fairness {b}", "longest", 250),
    ),
    *_both(
        "adaptive prefetch beside a fixed 64",
        "≥ 90 %",
        lambda f, b: f.kept(f"features {b}", 0.9, "workerd fixed prefetch"),
    ),
    *_both(
        "events on and consumed",
        "≥ 85 %",
        lambda f, b: f.kept(f"features {b}", 0.85, OURS.name, by="workerd events"),
    ),
    *_both(
        "10 rate-limited tasks waiting",
        "≥ 95 %",
        lambda f, b: f.kept(f"features {b}", 0.95, OURS.name, by="workerd rate limits"),
    ),
]


def lines(tables: Mapping[str, Table], curves: Mapping[str, Curve], *, silent: bool = False) -> list[str]:
    """The table, as Markdown; ``silent`` of what was not measured."""
    facts = Facts(tables, curves)
    rows = ["| measure | aim | found | |", "|---|---|---|---|"]
    for aim in AIMS:
        try:
            found = aim.look(facts)
        except KeyError:
            rows += [] if silent else [f"| {aim.measure} | {aim.aim} | | not measured |"]
        else:
            rows.append(
                f"| {aim.measure} | {aim.aim} | {found.text} | {'met' if found.met else '**not met**'} |"
            )
    return rows
