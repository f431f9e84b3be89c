"""What the life cycle tells the worker to do, as data.  ``lifecycle.decide`` chooses, the worker performs."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workerd.errors import ExitCode


class BeginDrain(msgspec.Struct, frozen=True):
    """Fix the deadline; fetch no more, let what runs finish, give back what has not started."""


class SoftStop(msgspec.Struct, frozen=True):
    """Interrupt what still runs; it has one grace period to end before it is killed."""


class KillChildren(msgspec.Struct, frozen=True):
    """Stop fetching, kill every child's group now and begin the grace period anew, for the kill to work."""


class GiveBack(msgspec.Struct, frozen=True):
    """Return all work that is held, started or not, to the broker."""


class BeginReload(msgspec.Struct, frozen=True):
    """Start a new generation; the old one drains when it serves."""


class AbandonReload(msgspec.Struct, frozen=True):
    """The generation that is being started shall not serve."""


class Resize(msgspec.Struct, frozen=True):
    """Add ``by`` (which may be negative) to the wanted number of slots."""

    by: int


class Dump(msgspec.Struct, frozen=True):
    """Write states and stacks to the log."""


class Refuse(msgspec.Struct, frozen=True):
    """Tell whoever asked that it cannot be done, and why."""

    reason: str


class Finish(msgspec.Struct, frozen=True):
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
