"""From what a child reports to what the broker is told.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from workerd.delivery.request import Settlement, TaskOptions, Verdict
from workerd.protocol.states import FAILURE, REJECTED

DONE = Verdict(Settlement.DONE)
GIVE_BACK = Verdict(Settlement.GIVE_BACK)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The header of a child's DONE frame.

    ``store`` says that the frame's body is an encoded result; ``runtime`` is in seconds.
    """

    state: str
    runtime: float | None = None
    repr: str = ""
    cause: str = ""
    """Of a retry, the exception that is its reason."""
    traceback: str | None = None
    requeue: bool = False
    store: bool = False
    timeout: bool = False
    stopped: bool = False
    """Cut off by the interruption of a stop."""
    expected: bool = False
    refused: bool = False
    """The message could not be run at all; the task never began."""
    unregistered: bool = False
    """Refused because this generation does not know the task."""
    error: str = ""

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> Outcome:
        """Read a header; a child that reports nonsense has failed in our code, not in the task's."""
        try:
            return msgspec.convert(header, cls)
        except msgspec.ValidationError as exc:
            return cls(state="INTERNAL", error=f"unreadable outcome: {exc}")

    @property
    def stored_state(self) -> str:
        """The state in the stored result: a rejection is kept as a failure, and as long as one."""
        return FAILURE if self.state == REJECTED else self.state


def verdict(outcome: Outcome, options: TaskOptions) -> Verdict:
    """What to do with the message of a run that ended in ``outcome``."""
    match outcome.state:
        case "SUCCESS" | "RETRY" | "IGNORED" | "REVOKED":
            return DONE
        case "REJECTED" if outcome.requeue:
            return GIVE_BACK
        case "REJECTED":
            return Verdict(Settlement.PUT_ASIDE, f"rejected by the task: {outcome.repr}")
        case "FAILURE":
            return _after_failure(outcome, options)
        case _:
            return Verdict(Settlement.PUT_ASIDE, f"could not be run: {outcome.error or outcome.state}")


def _after_failure(outcome: Outcome, options: TaskOptions) -> Verdict:
    if outcome.refused:
        return Verdict(Settlement.PUT_ASIDE, f"could not be run: {outcome.repr}")
    if outcome.timeout:
        return DONE if options.acks_on_timeout else GIVE_BACK
    if options.acks_on_failure:
        return DONE
    return Verdict(Settlement.PUT_ASIDE, f"failed: {outcome.repr}")
