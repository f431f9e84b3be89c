"""The delay queues of RabbitMQ: the same as Celery's, and a way through them for every delay."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from amqp import spec
from kombu.transport.native_delayed_delivery import calculate_routing_key

from workerd.source.amqp.topology import (
    DELIVERY,
    LONGEST,
    binding,
    binding_key,
    can_wait,
    declarations,
    has_waited,
    way,
    without_traces,
)


def bindings(method: Any) -> list[tuple[str, str, str]]:
    """(source, target, key)."""
    frames = [arguments for kind, _, arguments in declarations("quorum") if kind == method]
    return [(source, target, key) for _, target, source, key, *_ in frames]


def matches(key: str, pattern: str) -> bool:
    """A topic exchange's rule, for patterns whose only ``#`` is the last word."""
    words, wanted = key.split("."), pattern.split(".")
    if wanted[-1] == "#":
        words, wanted = words[: len(wanted) - 1], wanted[:-1]
    return len(words) == len(wanted) and all(map(fnmatchcase, words, wanted))


def waited(exchange: str, key: str) -> int:
    """Seconds until a message is at the end, by the way of the bindings."""
    to_queues, to_exchanges, seconds = bindings(spec.Queue.Bind), bindings(spec.Exchange.Bind), 0
    while exchange != DELIVERY:
        queues = [name for source, name, pattern in to_queues if source == exchange and matches(key, pattern)]
        nexts = [
            name for source, name, pattern in to_exchanges if source == exchange and matches(key, pattern)
        ]
        assert len(queues) + len(nexts) == 1
        if queues:
            number = int(queues[0].rpartition("_")[2])
            seconds += 2**number
            exchange = f"celery_delayed_{number - 1}" if number else DELIVERY
        else:
            [exchange] = nexts
    return seconds


@pytest.mark.parametrize("delay", [0.2, 1.0, 2.9, 60.0, 61.5, 3600.0, 2.0**27, 1e9])
def test_a_message_waits_for_its_delay_in_whole_seconds(delay: float) -> None:
    exchange, key = way(delay, "q")
    seconds = min(max(int(delay), 1), LONGEST)
    assert key == calculate_routing_key(seconds, "q")
    assert waited(exchange, key) == waited("celery_delayed_27", key) == seconds


def test_only_the_queue_itself_is_bound_to_what_has_waited_for_it() -> None:
    _, key = way(61.0, "a.b")
    assert binding("a.b")[2][1:4] == ("a.b", DELIVERY, binding_key("a.b"))
    assert matches(key, binding_key("a.b"))
    assert not matches(key, binding_key("b"))


@pytest.mark.parametrize(
    ("queue", "can"),
    [("q", True), ("x" * 199, True), ("x" * 200, False), ("ä" * 100, False), ("a.*", False), ("a*", True)],
)
def test_a_queue_that_cannot_be_bound_alone_cannot_wait(queue: str, can: bool) -> None:
    assert can_wait(queue) is can


def test_what_has_waited_is_known_by_its_way() -> None:
    key = way(61.0, "q")[1]
    assert has_waited(DELIVERY, key)
    assert has_waited("celery_delayed_3", key)
    assert not has_waited("", "q")
    assert not has_waited(DELIVERY, "q")


def test_the_traces_of_the_way_are_wiped_and_nothing_else() -> None:
    traces = {"x-death": [], "x-first-death-queue": "q", "x-last-death-reason": "expired"}
    assert without_traces({"x-deathly": 1, "task": "t", **traces}) == {"x-deathly": 1, "task": "t"}
