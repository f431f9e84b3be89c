"""Ours, as a user writes it: nothing is set but where the broker is."""

from __future__ import annotations

import os
from typing import Any

import shapes
from ledger import Ledger

from workerd import App

note = Ledger.of_run().note
URL = os.environ["BENCH_BROKER"]
app = App("bench", broker=URL, backend=os.environ["BENCH_BACKEND"] or None)
app.conf.update(task_ignore_result=not os.environ["BENCH_BACKEND"])


@app.task
def noop(number: int) -> int:
    note(number)
    return number


@app.task
def shaped(number: int, payload: str, seconds: float, uneven: bool) -> int:
    note(number)
    shapes.sleep(number, seconds, uneven)
    return number


def send(number: int) -> None:
    noop.delay(number)


def send_many(numbers: range, shape: dict[str, Any]) -> None:
    if shape:
        calls = [(shaped, shapes.arguments(n, shape), None, shapes.options(n, shape)) for n in numbers]
    else:
        calls = [(noop, (n,), None, {}) for n in numbers]
    app.send_many(calls)


def send_as(number: int, shape: dict[str, Any]) -> None:
    shaped.apply_async(shapes.arguments(number, shape), **shapes.options(number, shape))
