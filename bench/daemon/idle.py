"""What a worker takes while it has nothing to do, after every child has worked.

Units: MB of PSS of all its processes; seconds of CPU time a minute; reads that Redis did for it a second
(one for each batch of commands that a client sends); TCP connections to the broker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import psutil

from bench.daemon.brokers import Broker
from bench.daemon.contenders import CELERY, OURS, Contender
from bench.daemon.proc import cpu, pss, tree
from bench.daemon.running import Process, run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns
from tests.support.brokers import RedisServer

SETTLE = 3.0
"""Seconds after the last task in which a worker may come to rest."""

FEW, MANY = 2, 8

COLUMNS = (
    Column("few", f"MB, {FEW} children", ",.1f"),
    Column("many", f"MB, {MANY} children", ",.1f"),
    Column("each", "MB, each further child", ",.1f"),
    Column("cpu", "CPU s/min", ",.3f"),
    Column("reads", "reads/s", ",.1f"),
    Column("connections", "connections"),
)


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker."""
    seconds = 5.0 if setting.quick else 15.0
    for name in setting.brokers:
        broker = setting.broker(name)
        print(f"idle, {name}")

        def turn(contender: Contender, before: Figures, broker: Broker = broker) -> Figures:
            few = idle(contender, broker, FEW, seconds)
            many = idle(contender, broker, MANY, 0.0)["size"]
            each = (many - few["size"]) / (MANY - FEW)
            return few | {"few": few["size"], "many": many, "each": each}

        contenders = [OURS, CELERY] if setting.quick else setting.contenders(name)
        turns = take_turns(contenders, setting.once, turn, "few")
        columns = COLUMNS if isinstance(broker.server, RedisServer) else (*COLUMNS[:4], COLUMNS[-1])
        yield Table(f"idle {name}", f"Idle, {name}", columns, turns.found, turns.left_out)


def idle(contender: Contender, broker: Broker, children: int, seconds: float) -> Figures:
    """One worker, looked at for ``seconds``."""
    with run(contender, broker, 100 * children) as it:
        it.send()
        with it.worker(children) as process:
            it.await_tasks(process, it.ledger.tasks)
            time.sleep(SETTLE)
            found = at_rest(process, broker, seconds) if seconds else {}
            found["size"] = pss(tree(process.pid))
        it.verify()
    return found


def at_rest(process: Process, broker: Broker, seconds: float) -> Figures:
    """CPU time, reads and connections."""
    pids = tree(process.pid)
    with counting(broker) as reads_so_far:
        before, reads, began = sum(map(cpu, pids)), reads_so_far(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        return {
            "cpu": (sum(map(cpu, pids)) - before) / took * 60,
            "reads": (reads_so_far() - reads) / took,
            "connections": float(connections(pids, broker)),
        }


@contextmanager
def counting(broker: Broker) -> Iterator[Callable[[], int]]:
    """Tells how often Redis has read from its clients so far, less what was read from the one that asks."""
    if not isinstance(broker.server, RedisServer):
        yield lambda: 0
        return
    # One connection for all: to greet the server takes reads of its own.
    with broker.server.client() as client:
        asked = count()
        yield lambda: int(client.info("stats")["total_reads_processed"]) - next(asked)


def connections(pids: list[int], broker: Broker) -> int:
    """To the broker, of all the worker's processes."""
    found = 0
    for pid in pids:
        for each in psutil.Process(pid).net_connections("tcp"):
            found += bool(each.raddr) and each.raddr.port == broker.server.port
    return found
