"""The part of an event loop that links and sources use; our Hub and its Scopes have it.

One callback per descriptor: for both directions of a socket, use a duplicate of its descriptor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Cancelable(Protocol):
    """A timer that has been set."""

    def cancel(self) -> object:
        """Do not fire (again)."""


class Loop(Protocol):
    """Readiness of descriptors, timers, and the next turn.  Units: seconds."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> object:
        """Call when ``fds`` can be read."""

    def add_writer(self, fds: int, callback: Callable[..., object], *args: object) -> object:
        """Call when ``fds`` can be written."""

    def remove_reader(self, fd: int) -> object:
        """Undo ``add_reader``."""

    def remove_writer(self, fd: int) -> object:
        """Undo ``add_writer``."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Call in the next turn, in no certain order."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Cancelable:
        """Call once, ``delay`` seconds from now."""

    def call_repeatedly(self, delay: float, callback: Callable[..., object], *args: object) -> Cancelable:
        """Call each ``delay`` seconds."""
