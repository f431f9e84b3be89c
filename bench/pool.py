"""``python -m bench.pool``: dispatch rate and latency of the pool beside those of its peers.

No-op jobs with a payload of 300 bytes on 1, 2 and 4 children.  The contenders take turns, round by round, so
that a slow moment of the machine meets all of them; the median of the rounds counts, and what is
printed for judgement is the ratio to the best peer.

Units: jobs a second; latency from the call to the first line of the job, in microseconds.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from statistics import median

from bench.contenders import CONTENDERS, Contender, warm

PAYLOAD = b"x" * 300
OURS = next(iter(CONTENDERS))


def rate(contender: Contender, jobs: int) -> float:
    """Jobs a second."""
    began = time.monotonic()
    contender.drain(PAYLOAD, jobs)
    return jobs / (time.monotonic() - began)


def latencies(contender: Contender, samples: int, pause: float) -> list[float]:
    """Microseconds from the call to the job's first line, for jobs that come one by one."""
    found = []
    for _ in range(samples):
        time.sleep(pause)
        called = time.monotonic_ns()
        found.append((contender.one(PAYLOAD) - called) / 1000)
    return found


def measure(children: int, options: argparse.Namespace) -> None:
    """One table: a line for each contender."""
    rates: dict[str, list[float]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for name, opened in CONTENDERS.items():
            with opened(children) as contender:
                warm(contender, PAYLOAD)
                rates[name].append(rate(contender, options.jobs))
                waits[name] += latencies(contender, options.samples, options.pause)
    table(children, {name: median(found) for name, found in rates.items()}, waits)


def table(children: int, rates: dict[str, float], waits: dict[str, list[float]]) -> None:
    """Print the figures, and ours as ratios to the best peer's."""
    print(f"\n{children} child{'ren' * (children > 1)}")
    print(f"{'':22}{'jobs/s':>10}{'p50 us':>10}{'p99 us':>10}")
    p50 = {name: quantile(found, 0.50) for name, found in waits.items()}
    p99 = {name: quantile(found, 0.99) for name, found in waits.items()}
    for name, found in rates.items():
        print(f"{name:22}{found:>10,.0f}{p50[name]:>10.0f}{p99[name]:>10.0f}")
    best = max(rates[name] for name in rates if name != OURS)
    quickest = min(p50[name] for name in p50 if name != OURS)
    print(f"{OURS} to the best peer: rate {rates[OURS] / best:.2f} x, p50 {p50[OURS] / quickest:.2f} x")


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--children", default="1,2,4", help="sizes to measure (1,2,4)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender (3)")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs a turn for the rate (20000)")
    parser.add_argument("--samples", type=int, default=200, help="jobs a turn for the latency (200)")
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between those (0.005)")
    options = parser.parse_args()
    for children in map(int, options.children.split(",")):
        measure(children, options)


if __name__ == "__main__":
    main()
