"""The app of the tests about memory: its tasks take some and keep it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from workerd import App
from workerd.exceptions import MemoryLimitExceeded

app = App("hungry")
KEPT: list[bytearray] = []


def take(mb: int) -> bytearray:
    """Memory that is really there: pages of zeros would be one page."""
    return bytearray(os.urandom(1024)) * (mb * 1024)


@app.task(name="hungry.pid")
def pid() -> int:
    return os.getpid()


@app.task(name="hungry.leak")
def leak(mb: int) -> int:
    """What it takes stays in the child."""
    KEPT.append(take(mb))
    return os.getpid()


@app.task(name="hungry.hold")
def hold(mb: int, gate: str) -> int:
    """Has so much until the file ``gate`` exists."""
    kept = take(mb)
    while not Path(gate).exists():
        time.sleep(0.02)
    return len(kept)


@app.task(name="hungry.until_told")
def until_told(mb: int, path: str) -> None:
    """Has so much; cleans up in the file ``path`` when it is told that it is too much."""
    kept = take(mb)
    try:
        while kept:
            time.sleep(0.02)
    except MemoryLimitExceeded as exc:
        Path(path).write_text(str(exc))
        raise


@app.task(name="hungry.deaf")
def deaf() -> None:
    """Takes ever more, whatever it is told."""
    kept = []
    while True:
        try:
            while True:
                kept.append(take(1))
                time.sleep(0.002)
        except MemoryLimitExceeded:
            continue
