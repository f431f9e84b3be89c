"""Which metrics there are: the one list of them.  ``docs/reference/metrics.md`` is checked against it.

Units: seconds, bytes and counts, as the names say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

Snapshot = Mapping[str, Any]
Rows = Iterable[tuple[tuple[str, ...], Any]]
"""Values of labels, and the value: a number, or a histogram's counts and sum."""


class Kind(NamedTuple):
    """One metric: where a snapshot has it, name (a counter's without ``_total``), labels and help."""

    type: Literal["gauge", "counter", "histogram"]
    name: str
    labels: tuple[str, ...]
    rows: Callable[[Snapshot], Rows]
    text: str


def one(*path: str) -> Callable[[Snapshot], Rows]:
    """A number at one place; nothing where the snapshot ends before it."""

    def rows(found: Any) -> Rows:
        for key in path:
            if found is None:
                return []
            found = found[key]
        return [((), float(found))]

    return rows


def each(key: str, inner: str = "") -> Callable[[Snapshot], Rows]:
    """What a mapping has under each name, or of that ``inner``."""
    return lambda found: [((name,), value[inner] if inner else value) for name, value in found[key].items()]


def pairs(key: str, inner: str = "") -> Callable[[Snapshot], Rows]:
    """Of a mapping of mappings each number with both of its names."""
    return lambda found: [
        ((name, second), value)
        for name, values in found[key].items()
        for second, value in (values[inner] if inner else values).items()
    ]


def who(found: Snapshot) -> Rows:
    """The daemon's names."""
    return [((found["name"], found["node"], found["version"]), 1)]


def state(found: Snapshot) -> Rows:
    """All states, so that none has to be guessed."""
    return [((name,), int(name == found["state"])) for name in STATES]


def refused(found: Snapshot) -> Rows:
    """Those queues only."""
    return [((queue,), 1) for queue in found["refused"]]


STATES = ("booting", "running", "reloading", "draining", "stopping", "killing", "stopped")
NONE: tuple[str, ...] = ()

OF_THE_DAEMON = (
    Kind("gauge", "workerd_info", ("name", "node", "version"), who, "Always 1."),
    Kind(
        "gauge",
        "workerd_start_time_seconds",
        NONE,
        one("started"),
        "Start of the daemon, or its last restart in place, in Unix time.",
    ),
    Kind("gauge", "workerd_live", NONE, one("health", "live"), "1 while the daemon gets on, as /livez says."),
    Kind("gauge", "workerd_ready", NONE, one("health", "ready"), "1 while it runs tasks, as /readyz says."),
    Kind("gauge", "workerd_state", ("state",), state, "1 for the state that the daemon is in, else 0."),
    Kind("gauge", "workerd_link_up", NONE, one("link", "up"), "1 while there is a link to the broker."),
    Kind(
        "counter",
        "workerd_link_restarts",
        NONE,
        one("link", "restarts"),
        "Links to the broker that were made anew.",
    ),
    Kind(
        "gauge",
        "workerd_results_pending",
        NONE,
        one("results"),
        "Results that the backend has not confirmed.",
    ),
    Kind(
        "gauge",
        "workerd_memory_used_bytes",
        NONE,
        one("memory", "used"),
        "What counts against memory_budget; absent without one.",
    ),
    Kind(
        "gauge",
        "workerd_memory_budget_bytes",
        NONE,
        one("memory", "budget"),
        "The memory_budget; absent without one.",
    ),
)

OF_MESSAGES = (
    Kind("counter", "workerd_messages_received", NONE, one("totals", "received"), "Messages fetched."),
    Kind(
        "counter",
        "workerd_messages_put_aside",
        NONE,
        one("totals", "put_aside"),
        "Messages moved to a dead queue.",
    ),
    Kind(
        "counter",
        "workerd_messages_given_back",
        NONE,
        one("totals", "given_back"),
        "Messages returned to their queue.",
    ),
    Kind(
        "counter",
        "workerd_messages_repeated",
        NONE,
        one("totals", "repeated"),
        "Messages that came again, and runs that another node runs too.",
    ),
    Kind(
        "counter",
        "workerd_messages_adopted",
        NONE,
        one("totals", "adopted"),
        "Messages whose runs outlast RabbitMQ's patience.",
    ),
    Kind(
        "gauge",
        "workerd_messages_held",
        ("stage",),
        each("held"),
        "Messages here now, by how far they have come; parked are those of all nodes in the broker.",
    ),
    Kind(
        "counter",
        "workerd_queue_cancellations",
        ("queue",),
        each("cancelled"),
        "How often the broker has ended the consuming of a queue.",
    ),
    Kind(
        "gauge",
        "workerd_queue_refused",
        ("queue",),
        refused,
        "1 for a queue that the broker does not let us consume now.",
    ),
)

OF_RUNS = (
    Kind("counter", "workerd_runs_started", NONE, one("totals", "started"), "Runs begun."),
    Kind(
        "counter", "workerd_runs_cut_off", NONE, one("totals", "cut_off"), "Runs that ended with their child."
    ),
    Kind(
        "counter",
        "workerd_runs_interrupted",
        NONE,
        one("totals", "interrupted"),
        "Runs that a stop has cut off and given back.",
    ),
    Kind(
        "counter", "workerd_task_runs", ("task", "outcome"), pairs("runs"), "Calls that have ended, by how."
    ),
    Kind("histogram", "workerd_task_runtime_seconds", ("task",), each("runtimes"), "How long runs took."),
    Kind(
        "histogram",
        "workerd_task_wait_seconds",
        ("pool",),
        each("waits"),
        "From a message's coming here, or its ETA, to the beginning of its run.",
    ),
)

OF_POOLS = (
    Kind("gauge", "workerd_pool_children_wanted", ("pool",), each("pools", "wanted"), "Children wanted."),
    Kind(
        "gauge", "workerd_pool_children_alive", ("pool",), each("pools", "alive"), "Children that take tasks."
    ),
    Kind(
        "gauge", "workerd_pool_children_busy", ("pool",), each("pools", "busy"), "Children that run a task."
    ),
    Kind(
        "gauge",
        "workerd_pool_degraded",
        ("pool",),
        each("pools", "degraded"),
        "1 while a pool has fewer children than it should, and cannot help it.",
    ),
    Kind(
        "gauge",
        "workerd_pool_generation",
        ("pool",),
        each("pools", "generation"),
        "Number of the code that serves; each reload makes it larger.",
    ),
    Kind(
        "counter", "workerd_pool_deaths", ("pool", "cause"), pairs("pools", "deaths"), "Children that died."
    ),
)

METRICS = OF_THE_DAEMON + OF_MESSAGES + OF_RUNS + OF_POOLS
