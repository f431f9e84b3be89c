"""From what has happened to what Prometheus reads."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from workerd.delivery import Outcome
from workerd.protocol.exceptions import NotRegistered
from workerd.worker.http.families import Families
from workerd.worker.http.kinds import METRICS
from workerd.worker.http.measures import BOUNDS, MOST, OTHER, UNKNOWN, Histogram, Measures


def a_request(task: str = "proj.add", *, eta: float | None = None, began: float = 107.0) -> Any:
    message = SimpleNamespace(task=task, eta=eta)
    return SimpleNamespace(message=message, received=100.0, time_start=began, pool="default")


def a_snapshot(measures: Measures | None = None, **changed: Any) -> dict[str, Any]:
    totals = (
        "received",
        "started",
        "put_aside",
        "given_back",
        "repeated",
        "adopted",
        "cut_off",
        "interrupted",
    )
    return {
        "name": "main",
        "node": "main@host",
        "version": "1",
        "started": 1.5,
        "state": "running",
        "health": {"live": True, "ready": False},
        "link": {"up": True, "restarts": 2},
        "totals": dict.fromkeys(totals, 3),
        "held": {"running": 1},
        "results": 0,
        "memory": None,
        "pools": {
            "default": {
                "wanted": 2,
                "alive": 1,
                "busy": 1,
                "generation": 4,
                "degraded": True,
                "deaths": {"signal": 5},
            }
        },
        "cancelled": {},
        "refused": {"video": "no rights"},
        **(measures or Measures()).plain(),
        **changed,
    }


def samples(snapshot: dict[str, Any] | None) -> dict[tuple[str, ...], float]:
    """What a scrape finds: values by name and labels, of which ``task`` and ``pool`` come first."""
    registry = CollectorRegistry()
    registry.register(Families(lambda: snapshot))
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_daemon_that_does_not_answer_is_down_and_nothing_else() -> None:
    assert samples(None) == {("workerd_up",): 0.0}


def test_what_a_snapshot_says_is_there() -> None:
    found = samples(a_snapshot())
    assert found["workerd_up",] == found["workerd_live",] == found["workerd_link_up",] == 1
    assert found["workerd_ready",] == 0
    assert found["workerd_state", "running"] == 1
    assert sum(value for name, value in found.items() if name[0] == "workerd_state") == 1
    assert found["workerd_messages_received_total",] == 3
    assert found["workerd_pool_deaths_total", "default", "signal"] == 5
    assert found["workerd_pool_degraded", "default"] == 1
    assert found["workerd_queue_refused", "video"] == 1
    assert not any(name.startswith("workerd_memory") for name, *_ in found)
    found = samples(a_snapshot(memory={"used": 5, "budget": 10}))
    assert (found["workerd_memory_used_bytes",], found["workerd_memory_budget_bytes",]) == (5, 10)


def test_runs_are_counted_by_task_and_outcome_and_measured() -> None:
    measures = Measures()
    measures.started(a_request())
    measures.ended(a_request(), Outcome(state="SUCCESS", runtime=0.3))
    measures.ended(a_request(), Outcome(state="RETRY", runtime=7200.0))
    measures.ended(a_request(), Outcome(state="INTERNAL"))
    measures.failed(a_request(), RuntimeError())
    measures.failed(a_request("made.up"), NotRegistered("made.up"))
    measures.revoked(a_request(), expired=True)
    found = samples(a_snapshot(measures))
    outcomes = {name[1:]: value for name, value in found.items() if name[0] == "workerd_task_runs_total"}
    assert outcomes == {
        ("proj.add", "succeeded"): 1,
        ("proj.add", "retried"): 1,
        ("proj.add", "failed"): 1,
        ("proj.add", "expired"): 1,
        (UNKNOWN, "failed"): 1,
    }
    buckets = "workerd_task_runtime_seconds_bucket"
    assert [found[buckets, "proj.add", end] for end in ("0.25", "0.5", "3600.0", "+Inf")] == [0, 1, 1, 2]
    assert found["workerd_task_runtime_seconds_sum", "proj.add"] == 7200.3
    assert found["workerd_task_wait_seconds_sum", "default"] == 7


@pytest.mark.parametrize(("eta", "waited"), [(None, 7.0), (106.0, 1.0), (50.0, 7.0), (108.0, 0.0)])
def test_a_wait_begins_with_the_eta_where_that_is_later(eta: float | None, waited: float) -> None:
    measures = Measures()
    measures.started(a_request(eta=eta))
    assert measures.waits["default"].sum == waited


def test_names_are_bounded_whoever_makes_them_up() -> None:
    measures = Measures()
    for number in range(MOST + 50):
        measures.ended(a_request(f"task.{number}"), Outcome(state="SUCCESS", runtime=0.1))
    assert len(measures.runs) == len(measures.runtimes) == MOST + 1
    assert measures.runs[OTHER]["succeeded"] == 50
    measures.ended(a_request("task.0"), Outcome(state="SUCCESS", runtime=0.1))
    assert measures.runs["task.0"]["succeeded"] == 2


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram()
    for bound in BOUNDS:
        histogram.add(bound)
    assert histogram.counts == [1] * len(BOUNDS) + [0]


def test_names_are_in_base_units_and_counters_say_so() -> None:
    for kind in METRICS:
        assert re.fullmatch(r"workerd_[a-z_]+", kind.name)
        assert not kind.name.endswith(("_total", "_ms", "_milliseconds", "_mb", "_kilobytes"))
        assert kind.text.endswith(".")
