"""A step that stops well, tried with stress_step: in memory, and over a real broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Consumer, Exchange, Queue

from workerd import bootsteps
from workerd.testing import stress_step


class Reader(bootsteps.ConsumerStep):
    def get_consumers(self, channel: Any) -> list[Consumer]:
        queue = Queue("stressed", Exchange("stressed"), "stressed")
        return [Consumer(channel, queues=[queue], callbacks=[lambda body, message: message.ack()])]


class Beside(bootsteps.StartStopStep):
    """Needs what the daemon consumes."""

    requires = ("Tasks",)

    def start(self, c: Any) -> None:
        c.add_task_queue("stressed-tasks")

    def stop(self, c: Any) -> None:
        c.cancel_task_queue("stressed-tasks")


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("stopping.md")


@pytest.mark.parametrize(("step", "blueprint"), [(Reader, None), (Beside, "consumer")])
def test_a_consumer_step_is_stressed_over_a_real_broker(
    redis_url: str, step: type[bootsteps.Step], blueprint: str | None
) -> None:
    stress_step(step, blueprint=blueprint, broker=redis_url, rounds=5)
