"""stress_step lets good steps pass, and says of bad ones what is wrong and how it came to it."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from kombu import Consumer, Exchange, Queue

from workerd import App, bootsteps
from workerd.testing import stress_step

app = App("stressed")


class Good(bootsteps.StartStopStep):
    requires = ("Timer", "StateDB")

    def __init__(self, worker: Any, every: float = 30.0) -> None:
        self.every, self.tref = every, None

    def start(self, worker: Any) -> None:
        self.tref = worker.timer.call_repeatedly(self.every, self.tick, (worker,))

    def stop(self, worker: Any) -> None:
        if self.tref:
            self.tref.cancel()
            self.tref = None

    def tick(self, worker: Any) -> None:
        assert worker.active_requests == []


class Reader(bootsteps.ConsumerStep):
    def get_consumers(self, channel: Any) -> list[Consumer]:
        queue = Queue("stress", Exchange("stress"), "stress")
        return [Consumer(channel, queues=[queue], callbacks=[lambda body, message: message.ack()])]


class ConnectionTicker(Good):
    requires = ("Connection",)

    def tick(self, c: Any) -> None:
        assert c.connection is not None


class Plain(bootsteps.Step):
    def shutdown(self, parent: Any) -> None:
        assert repr(parent)


@pytest.mark.parametrize(
    ("step", "blueprint"),
    [(Good, None), (Reader, None), (ConnectionTicker, "consumer"), (Plain, "worker"), (Plain, "consumer")],
)
def test_a_good_step_passes_and_the_app_is_as_it_was(
    step: type[bootsteps.Step], blueprint: str | None
) -> None:
    stress_step(step, blueprint=blueprint, app=app, rounds=5)

    assert app.steps == {"worker": set(), "consumer": set()}


class Leaky(Good):
    def stop(self, worker: Any) -> None:
        self.tref = None


class OnlyOnce(Good):
    def stop(self, worker: Any) -> None:
        self.tref.cancel()  # type: ignore[attr-defined]
        self.tref = None


class BadTick(Good):
    def tick(self, worker: Any) -> None:
        raise LookupError("nobody is there")


class TicksTooLong(ConnectionTicker):
    def stop(self, c: Any) -> None:
        c.controller.timer.call_after(5, self.tick, (c,))

    def tick(self, c: Any) -> None:
        """Nothing; but it comes when its connection is gone."""


class Open(bootsteps.StartStopStep):
    def start(self, worker: Any) -> None:
        self.pipe = os.pipe()

    def stop(self, worker: Any) -> None:
        os.close(self.pipe[0])


class Watching(bootsteps.StartStopStep):
    requires = ("Hub",)

    def start(self, worker: Any) -> None:
        self.pipe = os.pipe()
        worker.hub.add_reader(self.pipe[0], int)
        worker.hub.on_tick.add(self.look)

    def look(self) -> None:
        """Each turn."""


class Threaded(bootsteps.StartStopStep):
    def start(self, worker: Any) -> None:
        self.done = threading.Event()
        threading.Thread(target=self.done.wait, name="mine").start()

    def __del__(self) -> None:
        self.done.set()


class Leaving(bootsteps.StartStopStep):
    def close(self, worker: Any) -> None:
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("step", "blueprint", "told"),
    [
        (Leaky, None, r"left after its stop: a timer of .*Good\.tick"),
        (OnlyOnce, None, r"'NoneType' object has no attribute 'cancel'"),
        (BadTick, None, r"Error in .*BadTick\.tick: LookupError\('nobody is there'\)"),
        (TicksTooLong, "consumer", r"left after its stop: a timer of .*TicksTooLong\.tick"),
        (Open, None, r"descriptor \d+ \(pipe:|Bad file descriptor|no attribute 'pipe'"),
        (Watching, None, r"a reader of descriptor \d+, .*; .*Watching\.look at each turn of the loop; desc"),
        (Threaded, None, r"left after its stop: the thread 'mine'"),
        (Leaving, None, r"SystemExit\(3\)"),
    ],
)
def test_what_is_wrong_with_a_step_is_told(
    step: type[bootsteps.Step], blueprint: str | None, told: str
) -> None:
    with pytest.raises(AssertionError, match=told) as caught:
        stress_step(step, blueprint=blueprint)

    assert str(caught.value).startswith(f"{step.name}: ")
    assert "\ncalls: " in str(caught.value)


def test_a_seed_repeats_the_calls() -> None:
    texts = set()
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            stress_step(OnlyOnce, seed=7)
        texts.add(str(caught.value))

    assert len(texts) == 1
    assert "seed=7 repeats them" in texts.pop()


def test_options_reach_the_step_as_from_the_command_line() -> None:
    seen = []

    class Told(Good):
        def __init__(self, worker: Any, every: float = 30.0) -> None:
            super().__init__(worker, every)
            seen.append(every)

    stress_step(Told, rounds=2, every=5, unknown=1)

    assert seen == [5, 5]


def test_a_step_that_its_condition_keeps_out_cannot_be_tried() -> None:
    class Off(Good):
        enabled = False

    with pytest.raises(AssertionError, match="its include_if keeps it out"):
        stress_step(Off)
