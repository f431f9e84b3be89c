"""How many tasks a second one client process sends, with nobody at work.

Units: tasks a second; microseconds of the client's CPU time a task.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.daemon.brokers import Broker
from bench.daemon.contenders import APPS, OURS, RABBITMQ, Contender, variant
from bench.daemon.running import BenchError, run
from bench.daemon.setting import Column, Setting, Table
from bench.daemon.turns import Figures, take_turns

NO_CONFIRMS = variant("no confirms")
"""Ours on RabbitMQ with Celery's promise: a call returns when its message is written, not when it is kept."""

COLUMNS = (Column("rate", "tasks/s"), Column("cpu", "CPU µs"))

PATIENCE = 20.0

VERBS = {"fill": "one by one", "batch": "many at once"}


def measure(setting: Setting) -> Iterator[Table]:
    """Each broker, call by call and in the library's own way to send many, where it has one."""
    for name in setting.brokers:
        broker = setting.broker(name)
        for verb, how in VERBS.items():
            contenders = [each for each in setting.contenders(name) if verb == "fill" or has_batches(each)]
            if OURS in contenders and (name, verb) == (RABBITMQ, "fill"):
                contenders.insert(1, NO_CONFIRMS)
            print(f"enqueue, {name}, {how}")

            def turn(
                contender: Contender, before: Figures, broker: Broker = broker, verb: str = verb
            ) -> Figures:
                tasks = int(before.get("rate", 2_000) * setting.seconds / 2)
                return enqueue(contender, broker, verb, max(tasks, 500))

            turns = take_turns(contenders, setting.rounds, turn, "rate")
            yield Table(f"{verb} {name}", f"Enqueue, {name}, {how}", COLUMNS, turns.found, turns.left_out)


def enqueue(contender: Contender, broker: Broker, verb: str, tasks: int) -> Figures:
    """One turn.  Errors: BenchError when a message of ours has not arrived."""
    with run(contender, broker, tasks) as it:
        took = it.send(verb)
        if contender.ours:
            arrived(contender, broker, tasks)
    return {"rate": tasks / took["seconds"], "cpu": took["cpu"] / tasks * 1e6}


def arrived(contender: Contender, broker: Broker, tasks: int) -> None:
    """Return when the broker has so many messages: what is not confirmed comes a moment later."""
    until = time.monotonic() + PATIENCE
    while (found := broker.left(contender)) != tasks:
        if time.monotonic() > until:
            raise BenchError(f"{contender.name}: of {tasks} messages the broker has {found}")
        time.sleep(0.05)


def has_batches(contender: Contender) -> bool:
    """Whether its app file can send many."""
    return "def send_many" in (APPS / f"{contender.app}.py").read_text()
