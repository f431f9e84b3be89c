"""What becomes of a message, by the outcome of its run and the options of its task."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from workerd.delivery.outcome import Outcome, verdict
from workerd.delivery.request import Settlement, TaskOptions, Verdict

DONE, GIVE_BACK, PUT_ASIDE = Settlement.DONE, Settlement.GIVE_BACK, Settlement.PUT_ASIDE
STATES = ("SUCCESS", "RETRY", "IGNORED", "REVOKED", "REJECTED", "FAILURE", "INTERNAL", "")
FLAGS = ("requeue", "timeout", "refused")


def options(**given: Any) -> TaskOptions:
    return TaskOptions(**given)


def ends(state: str, *, of: TaskOptions | None = None, **fields: Any) -> Verdict:
    """The verdict on a run that ended so."""
    return verdict(Outcome.of({"state": state} | fields), of or TaskOptions())


@pytest.mark.parametrize("state", ["SUCCESS", "RETRY", "IGNORED", "REVOKED"])
@pytest.mark.parametrize("on_failure", [True, False])
@pytest.mark.parametrize("on_timeout", [True, False])
def test_a_run_that_needs_its_message_no_more_is_done(state: str, on_failure: bool, on_timeout: bool) -> None:
    given = options(acks_on_failure=on_failure, acks_on_timeout=on_timeout)
    assert ends(state, of=given) == Verdict(DONE)


def test_a_task_that_rejects_may_have_its_message_given_back() -> None:
    assert ends("REJECTED", requeue=True, repr="Reject()") == Verdict(GIVE_BACK)


def test_a_task_that_rejects_for_good_has_its_message_put_aside() -> None:
    assert ends("REJECTED", repr="Reject('no such user')") == Verdict(
        PUT_ASIDE, "rejected by the task: Reject('no such user')"
    )


@pytest.mark.parametrize(
    ("on_failure", "on_timeout", "timeout", "expected"),
    [
        (True, True, False, DONE),
        (True, True, True, DONE),
        (True, False, False, DONE),
        (True, False, True, GIVE_BACK),
        (False, True, False, PUT_ASIDE),
        (False, True, True, DONE),
        (False, False, False, PUT_ASIDE),
        (False, False, True, GIVE_BACK),
    ],
)
def test_a_failure_and_a_timeout_have_an_option_each(
    on_failure: bool, on_timeout: bool, timeout: bool, expected: Settlement
) -> None:
    given = options(acks_on_failure=on_failure, acks_on_timeout=on_timeout)
    assert ends("FAILURE", of=given, timeout=timeout).settlement is expected


def test_a_failure_that_is_put_aside_tells_its_exception() -> None:
    given = options(acks_on_failure=False)
    assert ends("FAILURE", of=given, repr="ValueError('x')").reason == "failed: ValueError('x')"


@pytest.mark.parametrize("timeout", [True, False])
@pytest.mark.parametrize("on_failure", [True, False])
def test_a_message_that_never_began_to_run_is_put_aside_whatever_the_options(
    timeout: bool, on_failure: bool
) -> None:
    given = options(acks_on_failure=on_failure, acks_on_timeout=on_failure)
    assert ends("FAILURE", of=given, refused=True, timeout=timeout, repr="bad json") == Verdict(
        PUT_ASIDE, "could not be run: bad json"
    )


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"state": "INTERNAL", "error": "KeyError('x')"}, "could not be run: KeyError('x')"),
        ({"state": "INTERNAL"}, "could not be run: INTERNAL"),
        ({"state": "UNHEARD_OF"}, "could not be run: UNHEARD_OF"),
    ],
)
def test_a_failure_of_our_own_code_puts_the_message_aside(header: dict[str, Any], reason: str) -> None:
    assert verdict(Outcome.of(header), TaskOptions()) == Verdict(PUT_ASIDE, reason)


@pytest.mark.parametrize(
    "header", [{}, {"state": 7}, {"state": "SUCCESS", "requeue": "yes"}, {"state": "SUCCESS", "runtime": "s"}]
)
def test_a_header_that_is_nonsense_is_no_success(header: dict[str, Any]) -> None:
    outcome = Outcome.of(header)

    assert (outcome.state, outcome.store) == ("INTERNAL", False)
    assert verdict(outcome, TaskOptions()).reason.startswith("could not be run: unreadable outcome: ")


def test_a_header_of_a_newer_child_is_read_as_far_as_it_is_known() -> None:
    assert Outcome.of({"state": "SUCCESS", "news": 1}) == Outcome(state="SUCCESS")


@pytest.mark.parametrize(("state", "flags"), list(product(STATES, product((False, True), repeat=3))))
def test_every_outcome_has_a_verdict_and_what_is_put_aside_has_a_reason(
    state: str, flags: tuple[bool, ...]
) -> None:
    header = dict(zip(FLAGS, flags, strict=True))
    for on_failure, on_timeout in product((False, True), repeat=2):
        given = options(acks_on_failure=on_failure, acks_on_timeout=on_timeout)
        found = ends(state, of=given, **header)
        assert bool(found.reason) == (found.settlement is PUT_ASIDE)
