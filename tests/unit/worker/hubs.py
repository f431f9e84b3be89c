"""What tests of the event loop have in common."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kombu.asynchronous import Hub as KombuHub

Pair = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def kombu_hub() -> Iterator[Any]:
    hub = KombuHub()
    try:
        yield hub
    finally:
        hub.close()


def turn(hub: Any) -> None:
    """One turn that does not sleep: a call from outside ``run`` wakes the poller."""
    hub.call_soon(int)
    hub.turn()


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def fill(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while sock.send(b"x" * 65536):
            pass


def broken() -> None:
    raise ZeroDivisionError("odd")


class Poller:
    """A poller that writes down how long it was told to sleep."""

    def __init__(self, slept: list[float | None]) -> None:
        self.slept = slept

    def poll(self, timeout: float | None) -> list[Any]:
        self.slept.append(timeout)
        return []
