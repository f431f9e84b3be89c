"""Rate limits by buckets that a step has brought."""

from __future__ import annotations

import pytest

from tests.unit.delivery.rated import RatedDesk, desk

__all__ = ["desk"]


class Gate:
    """A step's own algorithm."""

    def __init__(self, *, is_open: bool = False, wait: float = 0.0) -> None:
        self.is_open, self.wait, self.asked = is_open, wait, 0

    def consume(self, tokens: float = 1) -> bool:
        self.asked += 1
        return self.is_open

    def expected_time(self, tokens: float = 1) -> float:
        return self.wait


class Broken:
    def consume(self, tokens: float = 1) -> bool:
        raise ZeroDivisionError("my bucket")

    def expected_time(self, tokens: float = 1) -> float:
        raise ZeroDivisionError("my bucket")


def test_a_step_may_bring_its_own_bucket_and_keeps_it(desk: RatedDesk) -> None:
    gate = desk.dispatcher.rates.buckets["proj.mail"] = Gate(wait=5.0)
    desk.send("m0", "m1")
    desk.limit(100.0)  # what is said of the task changes nothing
    desk.let_pass(60)
    assert desk.began == []
    gate.is_open = True
    desk.let_pass(10)
    assert desk.began == ["m0", "m1"]


def test_a_bucket_that_promises_too_much_is_not_asked_all_the_time(desk: RatedDesk) -> None:
    gate = desk.dispatcher.rates.buckets["proj.mail"] = Gate(wait=0.0)
    desk.send("m0")
    desk.let_pass(1.0)
    assert 100 <= gate.asked <= 210


def test_a_bucket_that_is_taken_out_limits_no_more(desk: RatedDesk) -> None:
    desk.dispatcher.rates.buckets["proj.mail"] = Gate(wait=3600.0)
    desk.send("m0", "m1")
    desk.dispatcher.rates.buckets["proj.mail"] = None
    desk.finish_all()
    assert desk.began == ["m0", "m1"]
    assert desk.dispatcher.rates.buckets["proj.mail"] is None


def test_kombus_own_bucket_will_do(desk: RatedDesk) -> None:
    from kombu.utils.limits import TokenBucket

    desk.dispatcher.rates.buckets["proj.mail"] = TokenBucket(1e-9)  # type: ignore[no-untyped-call]
    desk.send("m0", "m1"), desk.finish_all()
    assert desk.began == ["m0"]


def test_a_bucket_that_raises_is_told_once_and_its_task_waits(
    desk: RatedDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.dispatcher.rates.buckets["proj.mail"] = Broken()
    desk.send("m0"), desk.send("a0", task="proj.add")
    desk.let_pass(5)
    assert desk.began == ["a0"]
    assert [record.getMessage() for record in caplog.records] == [
        "The bucket of proj.mail failed, so that task waits: ZeroDivisionError('my bucket')"
    ]
    desk.limit(0), desk.dispatcher.rates.buckets.pop("proj.mail")
    desk.finish_all()
    assert desk.began == ["a0", "m0"]
