"""Every step, built-in or added by an app, bears its hooks in any order, and leaves nothing after its stop.

The steps are those that the blueprints themselves have, so a new one is stressed from its first day on.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import psutil
import pytest
from kombu import Consumer as KombuConsumer
from kombu import Exchange, Queue

from tests.contract.workers import all_steps, needed, running, worker
from workerd import App, bootsteps
from workerd.bootsteps import Blueprint, State
from workerd.bootsteps.steps import alias_of
from workerd.errors import WorkerdError
from workerd.testing.stress import turn
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.controller import STEPS as WORKER_STEPS
from workerd_pool import PoolError

HOOKS = ("start", "stop", "close", "terminate", "shutdown")
REFUSALS = (WorkerdError, PoolError)
"""What a start may raise that comes too late, as after a close of the pool."""


class Ticking:
    """What ``create`` of an app's step returns."""

    def __init__(self, parent: Any) -> None:
        self.parent, self.timer = parent, None

    def start(self) -> None:
        if self.timer is None:
            self.timer = self.parent.timer.call_repeatedly(0.001, int, ())

    def stop(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()


class WorkerTicker(bootsteps.StartStopStep):
    requires = ("Timer",)

    def create(self, parent: Any) -> Ticking:
        return Ticking(parent)


class ConsumerTicker(bootsteps.StartStopStep):
    requires = ("Connection",)

    def create(self, parent: Any) -> Ticking:
        return Ticking(parent)


class Reading(bootsteps.ConsumerStep):
    def get_consumers(self, channel: Any) -> list[KombuConsumer]:
        queue = Queue("stress", Exchange("stress"), "stress")
        return [KombuConsumer(channel, queues=[queue], callbacks=[lambda body, message: message.ack()])]


class Greeter(bootsteps.Step):
    def shutdown(self, parent: Any) -> None:
        assert repr(parent)


app = App("stress")
app.steps["worker"].update([WorkerTicker, Greeter])
app.steps["consumer"].update([ConsumerTicker, Reading, Greeter])


def aliases(name: str, default: Any) -> list[str]:
    return [
        alias_of(cls) for cls in Blueprint(name=name, default_steps=default, steps=app.steps[name]).plan()
    ]


def stress(step: Any, parent: Any, hub: Any, rng: random.Random) -> None:
    """Hooks in any order; only a start may refuse, and it says so by an error of ours."""
    hooks = [hook for hook in HOOKS if hasattr(step, hook)]
    turn(hub)
    for _ in range(14 if hooks else 0):
        hook = rng.choice(hooks)
        print(hook, step)
        try:
            getattr(step, hook)(parent)
        except REFUSALS:
            assert hook == "start"
        turn(hub, rng.randrange(3))
    for hook in ("stop", "shutdown"):
        if hook in hooks:
            getattr(step, hook)(parent)
    turn(hub)


@pytest.mark.parametrize("alias", aliases("worker", WORKER_STEPS))
def test_a_step_of_the_worker(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch, rng: random.Random, alias: str
) -> None:
    family = set(psutil.Process().children())
    with worker(short_dir, monkeypatch, app) as made:
        steps = all_steps(made.blueprint, made)
        with running(needed(steps, alias), made):
            turn(made.hub)
            stress(steps[alias], made, made.hub, rng)
    assert set(psutil.Process().children()) <= family


@pytest.mark.parametrize("alias", aliases("consumer", CONSUMER_STEPS))
def test_a_step_of_the_consumer(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch, rng: random.Random, alias: str
) -> None:
    with worker(short_dir, monkeypatch, app) as made:
        below = all_steps(made.blueprint, made)
        consumer = made.consumer
        steps = all_steps(consumer.blueprint, consumer)
        with running([below[name] for name in ("Hub", "Timer", "StateDB", "Broker")], made):
            with running(needed(steps, alias), consumer):
                stress(steps[alias], consumer, made.hub, rng)
            consumer.scope.close()


@pytest.mark.parametrize("part", range(2))
def test_requests_in_any_order_to_the_blueprints_of_a_daemon(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch, rng: random.Random, part: int
) -> None:
    with worker(short_dir, monkeypatch, app) as made:
        made.blueprint.start(made)
        for _ in range(8):
            owner: Any = rng.choice([made, made, made.consumer])
            if owner is made.consumer and made.blueprint.state is not State.RUN:
                continue  # nobody asks it while there is no worker around it
            request = rng.choice(["start", "start", "close", "restart", "stop", "terminate", "shutdown"])
            print(request, owner)
            try:
                getattr(owner.blueprint, request)(owner)
            except REFUSALS:
                assert request == "start"
            turn(made.hub, 2)
        made.blueprint.shutdown(made)
        assert not any(pool.processes() for pool in made.pools.values())
