"""What the children of ``bench.pool.starts`` import: a heap of small objects, and perhaps a thread."""

from __future__ import annotations

import threading
import time
from typing import Any

from bench.pool.jobs import Runner

HEAP: list[list[str]] = []


def fill(objects: int) -> None:
    """As an import does."""
    HEAP.extend([str(number)] for number in range(objects))


def load(arg: bytes) -> Runner:
    """The entry of our template; ``arg`` is the number of objects, and 1 for a thread."""
    objects, thread = map(int, arg.split())
    fill(objects)
    if thread:
        threading.Thread(target=threading.Event().wait, name="of the import", daemon=True).start()
    return Runner()


def answer(pipe: Any, objects: int) -> None:
    """What a peer's child does: import what its parent has not, say that it is there, and stay."""
    fill(objects)
    pipe.send(True)
    time.sleep(600)
