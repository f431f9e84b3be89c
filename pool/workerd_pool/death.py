"""Death: how a process ended and why, and the memory of the last ones.

Units: ``when`` is seconds of the pool's clock; ``hard_limit`` is seconds.
"""

from __future__ import annotations

import os
import signal
from collections import Counter, deque
from enum import StrEnum
from typing import Self

import msgspec

KEPT = 20
EXIT_CUT_OFF = 171
"""How a child ends that cannot tell the outcome of a job."""
CUT_OFF = "its job closed the socket to the supervisor"


class Cause(StrEnum):
    """Why a process ended, in the words that counters and status use."""

    EXIT = "exit"
    """It left by itself; the exit code says how."""
    SIGNAL = "signal"
    """By a signal that the pool did not send: a crash, or somebody outside."""
    HARD_LIMIT = "hard limit"
    MEMORY_LIMIT = "memory limit"
    OOM = "out of memory"
    """The kernel killed it, for the machine or for a control group."""
    OPERATOR = "operator"
    """The host ended its job: ``kill_job``, or ``interrupt_job`` with a grace."""
    BYSTANDER = "bystander"
    """Its child was killed for the job before it, which had ended in that instant."""
    START = "start"
    """It ended before it was ready."""
    OVERDUE = "overdue"
    """It did not start, or did not leave, in time."""
    PROTOCOL = "protocol"
    """It spoiled or closed its sockets."""
    POOL = "pool"
    """The pool was terminated."""
    UNKNOWN = "unknown"


class Reason(msgspec.Struct, frozen=True):
    """Why the pool is about to end a process; ``words`` are for people."""

    cause: Cause
    words: str
    hard_limit: float | None = None


class Death(msgspec.Struct, frozen=True):
    """How a process ended.

    ``exitcode`` or ``signal`` (its name) is set, never both; both are None when nobody could know.
    ``words`` say the cause to people.  ``hard_limit`` is set, in seconds, when that limit was the cause.
    """

    pid: int
    exitcode: int | None
    signal: str | None
    cause: Cause
    words: str
    hard_limit: float | None = None

    @classmethod
    def of(cls, pid: int, status: int | None, reason: Reason | None = None, *, ready: bool = True) -> Self:
        """The death of ``pid`` with a wait status; ``reason`` says more than the status does."""
        exitcode, name, cause, words = _told_by(status)
        if reason is not None:
            return cls(pid, exitcode, name, reason.cause, reason.words, reason.hard_limit)
        if not ready:
            cause, words = Cause.START, f"{words} before it was ready"
        return cls(pid, exitcode, name, cause, words)

    def of_bystander(self) -> Self:
        """The same for a job that had no part in it, whatever it was that the job before had done."""
        words = f"killed for the job before it ({self.words})"
        return msgspec.structs.replace(self, cause=Cause.BYSTANDER, words=words, hard_limit=None)

    @property
    def status(self) -> str:
        """``exitcode 3`` or ``signal 9 (SIGKILL)``, as billiard words it."""
        if self.signal is None:
            return "status unknown" if self.exitcode is None else f"exitcode {self.exitcode}"
        return f"signal {signal_number(self.signal)} ({self.signal})"


class Obituary(msgspec.Struct, frozen=True):
    """One death as it is remembered; ``title`` is that of the job that died with it, or empty."""

    when: float
    death: Death
    title: str


class Deaths:
    """How many have died of what, and the last ``KEPT`` of them, the newest last."""

    def __init__(self) -> None:
        self.counts: Counter[Cause] = Counter()
        self.last: deque[Obituary] = deque(maxlen=KEPT)

    def record(self, when: float, death: Death, title: str) -> None:
        """One more."""
        self.counts[death.cause] += 1
        self.last.append(Obituary(when, death, title))


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


def signal_number(name: str) -> int:
    """9 for ``SIGKILL``."""
    base, _, more = name.partition("+")
    return int(signal.Signals[base]) + int(more or 0)


def _told_by(status: int | None) -> tuple[int | None, str | None, Cause, str]:
    if status is None:
        return None, None, Cause.UNKNOWN, "its exit status is unknown"
    code = os.waitstatus_to_exitcode(status)
    if code == EXIT_CUT_OFF:
        return code, None, Cause.PROTOCOL, CUT_OFF
    if code >= 0:
        return code, None, Cause.EXIT, f"exit code {code}"
    name = signal_name(-code)
    return None, name, Cause.SIGNAL, f"killed by signal {-code} ({name})"
