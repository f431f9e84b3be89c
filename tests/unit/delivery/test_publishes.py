"""Publishes that were here a moment ago: remembered for a time, and then no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from workerd.delivery.outcome import DONE
from workerd.delivery.publishes import REMEMBER, Publishes


def request(tag: str, *, taken: bool = False) -> Any:
    """What ``Publishes`` looks at of a request that has run."""
    return SimpleNamespace(
        message=SimpleNamespace(publisher_tag=tag),
        delivery=SimpleNamespace(queue="q"),
        verdict=DONE,
        taken=taken,
    )


def settle(publishes: Publishes, one: Any, now: float) -> None:
    publishes.add(one)
    publishes.remove(one, now)


def test_what_others_had_taken_over_is_forgotten_in_time_though_no_link_is_lost() -> None:
    publishes = Publishes()
    for number in range(100):
        settle(publishes, request(f"t{number}", taken=True), 1.0 + number)
    settle(publishes, request("last", taken=True), REMEMBER + 50.0)
    assert len(publishes._remembered) == 51
    assert publishes.find("t49", "q", REMEMBER + 50.0) is None
    assert publishes.find("t50", "q", REMEMBER + 50.0) is DONE
    assert publishes.find("last", "q", REMEMBER + 50.0) is DONE


def test_one_that_is_remembered_once_more_is_not_forgotten_with_the_first_time() -> None:
    publishes = Publishes()
    settle(publishes, request("a"), 1.0)
    publishes.link_lost(2.0)
    settle(publishes, request("a", taken=True), 300.0)
    settle(publishes, request("b", taken=True), 2.0 + REMEMBER)
    assert publishes.find("a", "q", 3.0 + REMEMBER) is DONE
