"""``client.py APP VERB FIRST COUNT RATE SHAPE``: send tasks with a contender's client, in its environment.

Verbs: ``fill`` sends one task after the other, ``trickle`` sends RATE a second, ``batch`` sends them in the
library's own way to send many.  SHAPE is JSON: see ``shapes.py``.  The answer is one line of JSON: seconds,
and seconds of CPU.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import time
from typing import Any

from ledger import Ledger

BATCH = 5_000
"""Tasks that are sent at once at most."""


async def act(app: Any, verb: str, numbers: range, rate: float, shape: dict[str, Any]) -> None:
    """Do what the verb says."""
    if verb == "batch":
        for start in range(0, len(numbers), BATCH):
            app.send_many(numbers[start : start + BATCH], shape)
    else:
        await one_by_one(app, numbers, rate, shape)


async def one_by_one(app: Any, numbers: range, rate: float, shape: dict[str, Any]) -> None:
    """With ``rate``, the n-th task n / rate seconds after the first; else at once."""
    ledger, began = Ledger.of_run(), time.monotonic()
    waits = inspect.iscoroutinefunction(app.send)
    for count, number in enumerate(numbers):
        if rate:
            await asyncio.sleep(max(began + count / rate - time.monotonic(), 0.0))
        ledger.note_sent(number)
        if shape:
            app.send_as(number, shape)
        elif waits:
            await app.send(number)
        else:
            app.send(number)


async def main() -> None:
    """Connect, so that only the sending is measured, and send."""
    name, verb, first, count, rate, shape = sys.argv[1:]
    app = importlib.import_module(name)
    if hasattr(app, "connect"):
        await app.connect()
    began, cpu = time.monotonic(), time.process_time()
    await act(app, verb, range(int(first), int(first) + int(count)), float(rate), json.loads(shape))
    print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}))
    if hasattr(app, "disconnect"):
        await app.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
