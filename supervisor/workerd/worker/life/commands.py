"""What the life cycle tells the worker to do, as data.  ``lifecycle.decide`` chooses, the worker performs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from workerd.errors import ExitCode


@dataclass(frozen=True, slots=True)
class BeginDrain:
    """Fix the deadline; fetch no more, let what runs finish, give back what has not started."""


@dataclass(frozen=True, slots=True)
class SoftStop:
    """Interrupt what still runs; it has one grace period to end before it is killed."""


@dataclass(frozen=True, slots=True)
class KillChildren:
    """Stop fetching, kill every child's group now and begin the grace period anew, for the kill to work."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Return all work that is held, started or not, to the broker."""


@dataclass(frozen=True, slots=True)
class BeginReload:
    """Start a new generation; the old one drains when it serves."""


@dataclass(frozen=True, slots=True)
class AbandonReload:
    """The generation that is being started shall not serve."""


@dataclass(frozen=True, slots=True)
class Resize:
    """Add ``by`` (which may be negative) to the wanted number of slots."""

    by: int


@dataclass(frozen=True, slots=True)
class Dump:
    """Write states and stacks to the log."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell whoever asked that it cannot be done, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Leave the loop: exit with ``code``, or with ``restart`` replace the process image."""

    code: ExitCode
    restart: bool = False


Command: TypeAlias = (
    BeginDrain
    | SoftStop
    | KillChildren
    | GiveBack
    | BeginReload
    | AbandonReload
    | Resize
    | Dump
    | Refuse
    | Finish
)
Commands: TypeAlias = tuple[Command, ...]
