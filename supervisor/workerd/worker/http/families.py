"""Families: the daemon's metrics in the classes of prometheus-client, made of a snapshot each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from workerd.worker.http.kinds import METRICS, Kind, Snapshot
from workerd.worker.http.measures import BOUNDS

UP = "workerd_up"
ENDS = (*(str(bound) for bound in BOUNDS), "+Inf")


class Families(Collector):
    """Asks for a snapshot each time; of a daemon that does not answer there is only ``workerd_up 0``."""

    def __init__(self, ask: Callable[[], Snapshot | None]) -> None:
        self._ask = ask

    def describe(self) -> Iterator[Metric]:
        """Nothing: to be registered is no reason to ask."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        found = self._ask()
        yield GaugeMetricFamily(UP, "1 when the daemon has answered, else 0.", value=int(found is not None))
        if found is not None:
            yield from (family(kind, found) for kind in METRICS)


def family(kind: Kind, found: Snapshot) -> Metric:
    """One metric with all its samples."""
    if kind.type == "histogram":
        histogram = HistogramMetricFamily(kind.name, kind.text, labels=kind.labels)
        for labels, value in kind.rows(found):
            buckets = list(zip(ENDS, accumulate(value["counts"]), strict=True))
            histogram.add_metric(labels, buckets, value["sum"])
        return histogram
    make = CounterMetricFamily if kind.type == "counter" else GaugeMetricFamily
    metric = make(kind.name, kind.text, labels=kind.labels)
    for labels, value in kind.rows(found):
        metric.add_metric(labels, float(value))
    return metric
