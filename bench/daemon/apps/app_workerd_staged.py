"""Ours with a time at each stage on the way of a task; beside the ledger lies ``stages``, which holds them.

They are taken by receivers of signals, as an app may have them, so each costs what a receiver costs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import app_workerd
from app_workerd import app, noop, send_many
from ledger import Ledger

from workerd.signals import task_prerun, task_received

__all__ = ["app", "noop", "send", "send_many"]

_ledger = Ledger(Path(os.environ["BENCH_LEDGER"]).with_name("stages"))
SENT, RECEIVED, BEGUN = range(3)
"""The call has returned; the supervisor has the message; the child has read and understood it."""
_TASKS = _ledger.tasks // 3


def send(number: int) -> None:
    app_workerd.send(number)
    _ledger.began[SENT * _TASKS + number] = time.monotonic_ns()


@task_received.connect
def received(request: Any, **words: Any) -> None:
    now = time.monotonic_ns()
    _ledger.began[RECEIVED * _TASKS + request.args[0]] = now


@task_prerun.connect
def begun(args: Any, **words: Any) -> None:
    now = time.monotonic_ns()
    _ledger.began[BEGUN * _TASKS + args[0]] = now
