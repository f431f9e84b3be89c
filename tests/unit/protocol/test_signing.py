"""Signatures of remote control: made with the key, fresh, and good once."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from workerd.protocol.signing import FRESH, HEADER, MOST_NONCES, Verifier, signature


def test_what_is_signed_now_with_the_same_key_is_good_and_good_once(clock: FakeClock) -> None:
    verifier = Verifier("secret", clock)
    headers = {HEADER: signature("secret", b"body", clock.wall())}
    assert verifier.problem(headers, b"body") == ""
    assert "come before" in verifier.problem(headers, b"body")


@pytest.mark.parametrize("seconds", [-FRESH - 1, FRESH + 1])
def test_what_was_signed_at_another_time_is_refused(clock: FakeClock, seconds: float) -> None:
    headers = {HEADER: signature("secret", b"body", clock.wall() + seconds)}
    assert "another time" in Verifier("secret", clock).problem(headers, b"body")


def test_another_key_and_another_body_are_refused(clock: FakeClock) -> None:
    verifier = Verifier("secret", clock)
    headers = {HEADER: signature("other", b"body", clock.wall())}
    assert "not made with our key" in verifier.problem(headers, b"body")
    headers = {HEADER: signature("secret", b"body", clock.wall())}
    assert "not made with our key" in verifier.problem(headers, b"another body")


@pytest.mark.parametrize(
    "value", [None, 7, "", "v1", "v1:::", "v1:soon:n:x", "v2:1:n:x", "v1:nan:n:\ud800", "v1:1:2:3:4"]
)
def test_nonsense_is_refused(clock: FakeClock, value: object) -> None:
    assert Verifier("secret", clock).problem({HEADER: value}, b"body")


def test_the_memory_of_signatures_is_bounded(clock: FakeClock) -> None:
    verifier = Verifier("secret", clock)
    for _ in range(MOST_NONCES + 100):
        assert not verifier.problem({HEADER: signature("secret", b"", clock.wall())}, b"")
    assert len(verifier._seen) <= MOST_NONCES + 1
    clock.advance(2 * FRESH + 1)
    assert not verifier.problem({HEADER: signature("secret", b"", clock.wall())}, b"")
    assert len(verifier._seen) == 1
