"""huey on a Redis list, with process workers.  It acknowledges nothing: what a killed worker had is lost."""

from __future__ import annotations

import os

from huey import RedisHuey
from ledger import Ledger

note = Ledger.of_run().note
huey = RedisHuey("bench", url=os.environ["BENCH_BROKER"], results=bool(os.environ["BENCH_BACKEND"]))


@huey.task()
def noop(number: int) -> int:
    note(number)
    return number


def send(number: int) -> None:
    noop(number)
