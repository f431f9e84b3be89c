"""What a measure is given: the brokers, the contenders, and how long it may take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.daemon.brokers import REST, Broker, open_broker
from bench.daemon.contenders import CONTENDERS, RABBITMQ, REDIS, Contender
from bench.daemon.turns import Found

QUICK = {REDIS: ("workerd", "celery", "huey"), RABBITMQ: ("workerd", "celery", "dramatiq")}
"""Ours, Celery and the fastest of the others."""


@dataclass
class Setting:
    """One run of the benchmarks."""

    stack: ExitStack
    rounds: int = 3
    seconds: float = 3.0
    """That a turn of a drain should take."""
    quick: bool = False
    brokers: tuple[str, ...] = (REDIS, RABBITMQ)
    only: tuple[str, ...] = ()
    """Contenders; empty for all."""
    _open: dict[str, Broker] = field(default_factory=dict)

    @property
    def once(self) -> int:
        """Rounds of what matters less: one where there is little time."""
        return 1 if self.quick else self.rounds

    def broker(self, name: str) -> Broker:
        """A private one, started when it is first asked for."""
        if name not in self._open:
            rest = 0.0 if self.quick else REST
            self._open[name] = self.stack.enter_context(open_broker(name, rest))
        return self._open[name]

    def contenders(self, broker: str) -> list[Contender]:
        """Those that can use it, ours first."""
        chosen = self.only or (QUICK[broker] if self.quick else tuple(CONTENDERS))
        return [each for each in CONTENDERS.values() if each.name in chosen and broker in dict(each.rates)]


@dataclass(frozen=True)
class Column:
    """A figure as it is shown."""

    figure: str
    head: str
    form: str = ",.0f"


@dataclass(frozen=True)
class Table:
    """What a measure has found.  The first column is the one that ratios are made of."""

    key: str
    title: str
    columns: tuple[Column, ...]
    found: Found
    left_out: dict[str, str] = field(default_factory=dict)
    """Peers that have lost or repeated tasks, and what."""


Measure = Callable[[Setting], Iterator[Table]]


def options() -> argparse.ArgumentParser:
    """What all ways to start a measure have in common."""
    parser = argparse.ArgumentParser("python -m bench.daemon")
    parser.add_argument("--quick", action="store_true", help="ours, Celery and the best peer; shorter turns")
    parser.add_argument("--broker", choices=(REDIS, RABBITMQ), help="only this one")
    parser.add_argument("--only", default="", help="contenders, such as workerd,celery")
    parser.add_argument("--rounds", type=int, help="turns of each contender (3, quick: 2)")
    parser.add_argument("--seconds", type=float, help="that a turn of a drain should take (3, quick: 1)")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md in any case")
    parser.add_argument("--add", action="store_true", help="put what is measured into bench/RESULTS.md")
    return parser


@contextmanager
def setting(words: argparse.Namespace) -> Iterator[Setting]:
    """The setting that the options ask for; its brokers end with it."""
    seconds, rounds = (1.0, 2) if words.quick else (3.0, 3)
    seconds, rounds = words.seconds or seconds, words.rounds or rounds
    brokers = (words.broker,) if words.broker else (REDIS, RABBITMQ)
    only = tuple(filter(None, words.only.split(",")))
    with ExitStack() as stack:
        yield Setting(stack, rounds, seconds, words.quick, brokers, only)
