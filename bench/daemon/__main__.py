"""``python -m bench.daemon [MEASURE ...]``: measure the daemon beside other task queues.

Without a name all measures are taken and ``bench/RESULTS.md`` is written; with names, or with ``--quick``,
tables are only printed.  A measure in which we lose or repeat a task does not count, and the exit code is 1.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from bench.daemon import (
    aims,
    drain,
    enqueue,
    fairness,
    features,
    growth,
    idle,
    latency,
    layers,
    report,
    stages,
    start,
)
from bench.daemon.contenders import CONTENDERS
from bench.daemon.running import BenchError
from bench.daemon.setting import Setting, options, setting

MEASURES: dict[str, Any] = {
    "drain": drain.measure,
    "enqueue": enqueue.measure,
    "latency": latency.measure,
    "start": start.measure,
    "idle": idle.measure,
    "growth": growth.measure,
    "fairness": fairness.measure,
    "features": features.measure,
    "layers": layers.measure,
    "stages": stages.measure,
}


QUICK = ("drain", "enqueue", "latency", "start", "idle")


def take(name: str, chosen: Setting, results: report.Results) -> None:
    """Take one measure; print what it finds, or why it does not count."""
    results.note(name, chosen)
    try:
        for found in MEASURES[name](chosen):
            results.add(found)
            print("\n".join(report.shown(found)), "\n", flush=True)
    except BenchError as exc:
        results.failed.append(f"{name}: {exc}".splitlines()[0])
        print(f"{name} does not count: {exc}", "\n", flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = options()
    parser.description = __doc__.partition("\n")[0]
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)} (all)")
    words = parser.parse_args()
    if unknown := set(words.measures) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    wanted = words.only.split(",") if words.only else list(CONTENDERS)
    if missing := [name for name in wanted if name in CONTENDERS and not CONTENDERS[name].installed]:
        parser.error(f"not installed: {', '.join(missing)}; type: make peers, or name others with --only")
    if unknown := set(wanted) - set(CONTENDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    # An exception, so that a TERM too ends the brokers and the worker of the moment.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    with setting(words) as chosen:
        results = report.Results.of_now(chosen)
        if words.add:
            results.take_over()
        for name in words.measures or (QUICK if words.quick else MEASURES):
            take(name, chosen, results)
    print("\n".join(aims.lines(results.tables, results.curves, silent=True)))
    if words.write or words.add or not (words.measures or words.quick):
        results.write()
    sys.exit(len(results.failed) > 0)


if __name__ == "__main__":
    main()
