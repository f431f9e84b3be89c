"""Any requests in any order, from outside and from within hooks: the promises of a blueprint hold."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.contract.fakes import Parent
from workerd.bootsteps import Blueprint, StartStopStep, State

REQUESTS = ("start", "close", "stop", "terminate", "shutdown", "restart")
HOOKS = ("start", "close", "stop", "terminate", "shutdown")


class StepFaultError(Exception):
    """What a step of these tests raises."""


class Chaos:
    """Decides what a hook does: nothing, raise, or make a request of the blueprint that runs it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.blueprint: Blueprint | None = None
        self.depth = 0

    def strike(self, parent: Parent) -> None:
        chance = self.random.random()
        if chance < 0.15:
            raise StepFaultError
        if chance < 0.45 and self.depth < 3 and self.blueprint is not None:
            self.depth += 1
            try:
                getattr(self.blueprint, self.random.choice(REQUESTS))(parent)
            finally:
                self.depth -= 1


class Watched(StartStopStep):
    """Checks the contract from a step's own point of view."""

    chaos: Chaos
    depth = 0
    running = closed = shut = False

    def enter(self, hook: str, parent: Parent) -> None:
        parent.journal.append(f"{hook} {self.alias}")
        assert self.depth == 0, "a hook was called while another of the same step ran"
        self.depth += 1
        try:
            self.chaos.strike(parent)
        finally:
            self.depth -= 1

    def start(self, parent: Any) -> None:
        assert not self.running, "started twice"
        self.enter("start", parent)
        self.running = True
        parent.journal.append(f"started {self.alias}")

    def close(self, parent: Any) -> None:
        assert self.running, "closed and not running"
        assert not self.closed, "closed twice"
        self.closed = True
        self.enter("close", parent)

    def stop(self, parent: Any) -> None:
        assert self.running, "stopped and not running"
        self.running = False
        self.enter("stop", parent)

    def terminate(self, parent: Any) -> None:
        self.stop(parent)

    def shutdown(self, parent: Any) -> None:
        assert not self.running, "shut down and running"
        assert not self.shut, "shut down twice"
        self.shut = True
        self.enter("shutdown", parent)


def watched(chaos: Chaos, count: int) -> list[type[Watched]]:
    return [
        type(Watched)(f"S{n}", (Watched,), {"__module__": "stress", "chaos": chaos}) for n in range(count)
    ]


def request(blueprint: Blueprint, parent: Parent, name: str) -> None:
    try:
        getattr(blueprint, name)(parent)
    except StepFaultError:
        assert name == "start", f"{name} let a step's error through"


@pytest.mark.parametrize("part", range(10))
def test_random_requests_keep_every_promise(rng: random.Random, rounds: int, part: int) -> None:
    for _ in range(30 * rounds):
        seed = rng.randrange(2**32)
        print(f"seed of this round: {seed}")
        chaos = Chaos(seed)
        parent = Parent()
        steps = watched(chaos, chaos.random.randint(1, 6))
        blueprint = chaos.blueprint = Blueprint(name="Stress", default_steps=steps).apply(parent)
        highest = State.INIT
        for _ in range(12):
            name = chaos.random.choice(REQUESTS)
            request(blueprint, parent, name)
            if highest >= State.CLOSE:
                assert blueprint.state >= highest, f"{name} went back from {highest!r}"
            highest = blueprint.state
            running = [step.running for step in parent.steps]
            if blueprint.state in (State.INIT, State.TERMINATE):
                assert not any(running), f"steps run in state {blueprint.state!r}"
            elif blueprint.state is State.RUN:
                assert all(running), "running, and a step is not"
        request(blueprint, parent, "shutdown")

        assert blueprint.state is State.TERMINATE
        assert blueprint.join(0)
        assert not any(step.running for step in parent.steps)
        assert all(step.shut for step in parent.steps)


@pytest.mark.parametrize("part", range(5))
def test_steps_stop_in_the_reverse_of_the_order_in_which_they_started(
    rng: random.Random, rounds: int, part: int
) -> None:
    for _ in range(30 * rounds):
        chaos = Chaos(rng.randrange(2**32))
        parent = Parent()
        blueprint = chaos.blueprint = Blueprint(name="Stress", default_steps=watched(chaos, 5)).apply(parent)
        for _ in range(12):
            request(blueprint, parent, chaos.random.choice(REQUESTS))
        request(blueprint, parent, "stop")

        up: list[str] = []
        for line in parent.journal:
            hook, alias = line.split()
            if hook == "started":
                up.append(alias)
            elif hook == "stop":
                assert up.pop() == alias
        assert up == []
