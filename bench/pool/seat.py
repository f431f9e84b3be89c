"""``python -m bench.pool.seat NAME CHILDREN``: one contender in a process of its own, that does as asked.

So no pool inherits descriptors or threads of another, and all of them can stay open and take turns.
Each line that comes is ``rate JOBS`` or ``latency SAMPLES``; each is answered by one line of JSON.

Units: jobs a second; microseconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from bench.pool.contenders import CONTENDERS, Contender, warm

PAYLOAD = b"x" * 300
PAUSE = 0.005
"""Seconds between two jobs of light load."""


def rate(contender: Contender, jobs: int) -> dict[str, float]:
    """Jobs a second, and the CPU time that a job costs the pool's process and its children."""
    began, own, children = time.monotonic(), time.process_time(), children_cpu()
    contender.drain(PAYLOAD, jobs)
    took = time.monotonic() - began
    own, children = time.process_time() - own, children_cpu() - children
    return {"rate": jobs / took, "own": own / jobs * 1e6, "children": children / jobs * 1e6}


def children_cpu() -> float:
    """Seconds that the children have been on a CPU; the kernel's other counters step by 10 ms."""
    stats = (Path(f"/proc/{child.pid}/schedstat") for child in psutil.Process().children(recursive=True))
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def latency(contender: Contender, samples: int) -> dict[str, list[float]]:
    """From the call to the job's first line, for jobs that come one by one."""
    found = []
    for _ in range(samples):
        time.sleep(PAUSE)
        called = time.monotonic_ns()
        found.append((contender.one(PAYLOAD) - called) / 1000)
    return {"waits": found}


def main() -> None:
    """Answer until there is no more to read."""
    asked: dict[str, Any] = {"rate": rate, "latency": latency}
    with CONTENDERS[sys.argv[1]](int(sys.argv[2])) as contender:
        warm(contender, PAYLOAD)
        print("ready", flush=True)
        for line in sys.stdin:
            what, number = line.split()
            print(json.dumps(asked[what](contender, int(number))), flush=True)


if __name__ == "__main__":
    main()
