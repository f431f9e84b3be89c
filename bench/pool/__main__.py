"""``python -m bench.pool``: dispatch rate and latency of the pool beside those of its peers.

No-op jobs with a payload of 300 bytes on 1, 2 and 4 children.  All contenders are open at once, each in a
process of its own, and take short turns, so that a slow moment of the machine meets all of them.
What is printed for judgement is the ratio to each peer: of every round one, and of those the
median with its quartiles.  Where the machine has other work, CPU time tells more than rates.

Units: jobs a second; microseconds of CPU time a job, the least of the rounds; latency from the call to
the first line of the job, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from statistics import median
from types import TracebackType
from typing import Any

from bench.pool.contenders import CONTENDERS, ROOT
from bench.pool.quantile import quantile

OURS = next(iter(CONTENDERS))


class Seat:
    """A contender, and what was found of it."""

    def __init__(self, name: str, children: int) -> None:
        command = [sys.executable, "-m", "bench.pool.seat", name, str(children)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self.rounds: list[dict[str, float]] = []
        self.waits: list[float] = []

    def __enter__(self) -> Seat:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: Any, trace: TracebackType | None) -> None:
        self._process.communicate()

    def turn(self, jobs: int, samples: int) -> None:
        """One round."""
        self.rounds.append(self._ask("rate", jobs))
        self.waits += self._ask("latency", samples)["waits"]

    def all(self, what: str) -> list[float]:
        """The same figure of all rounds."""
        return [found[what] for found in self.rounds]

    def _ask(self, what: str, number: int) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(what, number, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def measure(children: int, options: argparse.Namespace) -> None:
    """One table: a line for each contender."""
    with ExitStack() as stack:
        seats = {name: stack.enter_context(Seat(name, children)) for name in CONTENDERS}
        for _ in range(options.rounds):
            for seat in seats.values():
                seat.turn(options.jobs, options.samples)
    table(children, seats)


def table(children: int, seats: dict[str, Seat]) -> None:
    """Print the figures, and ours as ratios to each peer's."""
    print(
        f"\n{f'{children} child' + 'ren' * (children > 1):22}{'jobs/s':>9}{'CPU: own':>10}{'+ children':>11}",
        end="",
    )
    print(f"{'p50':>7}{'p99':>7}   {OURS} to it (quartiles)")
    ours = seats[OURS].all("rate")
    for name, seat in seats.items():
        cpu = min(seat.rounds, key=lambda found: found["own"] + found["children"])
        print(
            f"{name:22}{median(seat.all('rate')):>9,.0f}{cpu['own']:>10.1f}{cpu['children']:>11.1f}", end=""
        )
        print(f"{quantile(seat.waits, 0.50):>7.0f}{quantile(seat.waits, 0.99):>7.0f}", end="")
        ratios = [mine / its for mine, its in zip(ours, seat.all("rate"), strict=True)]
        spread = f"{quantile(ratios, 0.25):.2f} - {quantile(ratios, 0.75):.2f}"
        print("" if name == OURS else f"   {median(ratios):.2f} x ({spread})")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--children", default="1,2,4", help="sizes to measure (1,2,4)")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each contender (25)")
    parser.add_argument("--jobs", type=int, default=5_000, help="jobs a turn for the rate (5000)")
    parser.add_argument("--samples", type=int, default=40, help="jobs a turn for the latency (40)")
    options = parser.parse_args()
    for children in map(int, options.children.split(",")):
        measure(children, options)


if __name__ == "__main__":
    main()
