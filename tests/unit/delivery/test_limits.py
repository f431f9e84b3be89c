"""Whose word on the time of a run counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.delivery.fakes import message
from workerd.delivery import Limits, TaskOptions
from workerd.delivery.limits import NONE, LiveLimits

APP = {"app_soft_time_limit": 1, "app_time_limit": 2}
POOL = Limits(3, 4)
OWN = {"soft_time_limit": 5, "time_limit": 6}
MESSAGE = {"timelimit": (8, 7)}
LIVE = Limits(9, 10)


@pytest.mark.parametrize(
    ("options", "pool", "sent", "live", "found"),
    [
        ({}, Limits(), {}, Limits(), Limits()),
        (APP, Limits(), {}, Limits(), Limits(1, 2)),
        (APP, POOL, {}, Limits(), POOL),
        (APP | OWN, POOL, {}, Limits(), Limits(5, 6)),
        (APP | OWN, POOL, MESSAGE, Limits(), Limits(7, 8)),
        (APP | OWN, POOL, MESSAGE, LIVE, LIVE),
        # Soft and hard are decided each for itself.
        (APP, Limits(hard=4), {"timelimit": (None, 7)}, Limits(), Limits(7, 4)),
        (APP, POOL, {}, Limits(hard=NONE), Limits(3, NONE)),
        # A message's 0 says nothing.
        (OWN, POOL, {"timelimit": (0, 0)}, Limits(), Limits(5, 6)),
    ],
)
def test_the_strongest_that_says_something_wins(
    options: dict[str, Any], pool: Limits, sent: dict[str, Any], live: Limits, found: Limits
) -> None:
    limits = LiveLimits()
    limits.set("proj.add", live)
    assert limits.of(message(**sent), TaskOptions(**options), pool) == found


def test_an_operators_word_holds_for_one_task_until_it_is_taken_back() -> None:
    limits = LiveLimits()
    limits.set("proj.add", Limits(soft=1))
    limits.set("proj.add", Limits(hard=5))
    assert limits.of(message(), TaskOptions(), Limits()) == Limits(1, 5)
    assert limits.of(message(task="proj.mul"), TaskOptions(), Limits()) == Limits()
    limits.reset("proj.add")
    limits.reset("proj.add")
    assert limits.of(message(), TaskOptions(), Limits()) == Limits()
