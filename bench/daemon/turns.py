"""Turns (A B A B ...) and what is made of them: medians with their extremes, and ratios of the same round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.daemon.contenders import Contender
from bench.daemon.running import BenchError

Figures = dict[str, float]
"""What one turn has found, by name."""

Found = dict[str, list[Figures]]
"""Of each contender, one entry for each round."""


@dataclass(frozen=True)
class Spread:
    """Of one figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Errors: StatisticsError when there are none."""
        return cls(median(values), min(values), max(values))

    def __format__(self, form: str) -> str:
        return f"{self.median:{form}} ({self.low:{form}} - {self.high:{form}})"


@dataclass
class Turns:
    """What all rounds have found; ``left_out`` says of a peer why it does not count."""

    found: Found = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


Turn = Callable[[Contender, Figures], Figures]
"""One turn of a contender, which is given what its last one has found."""


def take_turns(contenders: Sequence[Contender], rounds: int, turn: Turn, told: str) -> Turns:
    """All rounds; the figure ``told`` is printed after each turn.

    A peer that loses or repeats tasks has one more try, then it is left out.  Errors: BenchError when we do.
    """
    turns = Turns({each.name: [] for each in contenders})
    for _ in range(rounds):
        for each in contenders:
            if each.name in turns.left_out:
                continue
            before = turns.found[each.name]
            try:
                figures = _taken(turn, each, before[-1] if before else {})
            except BenchError as exc:
                if each.ours:
                    raise
                turns.left_out[each.name] = str(exc).splitlines()[0]
                del turns.found[each.name]
                continue
            before.append(figures)
            print(f"  {each.name:10} {told} {figures[told]:,.4g}", flush=True)
    return turns


def _taken(turn: Turn, contender: Contender, before: Figures) -> Figures:
    """One turn; a peer's second one if the first does not count."""
    try:
        return turn(contender, before)
    except BenchError as exc:
        if contender.ours:
            raise
        print(f"  {exc}", flush=True)
        return turn(contender, before)


def spread(found: Found, name: str, figure: str) -> Spread:
    """Of one contender's figure."""
    return Spread.of([figures[figure] for figures in found[name]])


def ratios(found: Found, figure: str, ours: str, its: str) -> Spread:
    """Ours divided by its, of each round."""
    pairs = zip(found[ours], found[its], strict=True)
    return Spread.of([a[figure] / b[figure] for a, b in pairs if b[figure]])


def best(found: Found, figure: str, names: Sequence[str], *, least: bool = False) -> str:
    """Which of ``names`` has the highest (or lowest) median.  KeyError when there are none."""
    if not names:
        raise KeyError(figure)
    choose = min if least else max
    return choose(names, key=lambda name: spread(found, name, figure).median)
