"""When a lease has been missing for long enough to prove a death."""

from __future__ import annotations

import pytest

from workerd.source.redis.silences import Silences

LEASE, GAP = 30.0, 7.0


@pytest.fixture
def silences() -> Silences:
    return Silences(LEASE, GAP)


def looks(silences: Silences, begin: float, end: float, *missing: str, every: float = 3.0) -> list[str]:
    """Looks from ``begin`` to ``end``; what the last one tells."""
    told: list[str] = []
    now = begin
    while now <= end:
        assert not told
        told = silences.seen(now, now + 0.01, missing)
        now += every
    return told


def test_a_lease_that_is_missing_for_its_whole_time_proves_a_death(silences: Silences) -> None:
    assert looks(silences, 0, 30, "a", "b") == []
    assert silences.seen(33, 33.01, ["a", "b"]) == ["a", "b"]


def test_the_time_begins_with_the_first_answer_and_ends_with_the_last_question(silences: Silences) -> None:
    silences.seen(0, 2, ["a"])
    looks(silences, 3, 31, "a", every=1.0)
    assert silences.seen(31.9, 33, ["a"]) == []
    assert silences.seen(33, 33.1, ["a"]) == ["a"]


def test_a_lease_that_was_there_once_meanwhile_begins_anew(silences: Silences) -> None:
    looks(silences, 0, 27, "a", "b")
    silences.seen(30, 30.01, ["b"])
    assert silences.seen(33, 33.01, ["a", "b"]) == ["b"]
    assert looks(silences, 36, 60, "a") == []
    assert looks(silences, 63, 64, "a") == []
    assert silences.seen(66, 66.01, ["a"]) == ["a"]


def test_a_gap_between_two_looks_proves_nothing(silences: Silences) -> None:
    looks(silences, 0, 24, "a")
    assert silences.seen(24 + GAP + 1, 33, ["a"]) == []
    assert looks(silences, 35, 61, "a") == []
    assert silences.seen(64, 64.01, ["a"]) == ["a"]


def test_an_answer_that_was_long_in_coming_proves_nothing_of_the_time_before(silences: Silences) -> None:
    looks(silences, 0, 24, "a")
    assert silences.seen(27, 40, ["a"]) == []  # the broker hung
    assert silences.seen(41, 41.01, ["a"]) == []
    assert looks(silences, 44, 69, "a") == []
    assert silences.seen(71, 71.01, ["a"]) == ["a"]


def test_a_death_that_was_told_begins_anew(silences: Silences) -> None:
    looks(silences, 0, 30, "a")
    assert silences.seen(33, 33.01, ["a"]) == ["a"]
    silences.forget("a")
    assert silences.seen(36, 36.01, ["a"]) == []
