"""Kills at any moment: late acknowledgement loses nothing, and only what was cut off begins again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable

import psutil
import pytest

from tests.chaos.bed import Bed, Node
from tests.support.eventually import eventually

SETTINGS = {
    "WORKERD_MAX_CRASHES": "1000",  # what is hit again and again would be put aside, rightly
    "WORKERD_DRAIN__TIMEOUT": "5s",
}
SIZE = 3


def some(rng: random.Random) -> list[float]:
    return [rng.choice((0.0, 0.0, 0.01, 0.1, 0.3)) for _ in range(rng.randrange(6, 14))]


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


class Kills:
    """Each method hits one daemon once, and returns how many runs that may have cut off."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node, self.daemon, self.rng = node, node.daemon, rng

    @property
    def children(self) -> list[int]:
        [pool] = self.node.status["pools"]
        return [child["pid"] for child in pool["children"] if child["pid"]]

    def a_child(self) -> int:
        for pid in self.rng.sample(self.children, 1):
            kill(pid)
        # In the instant between two, it has read the next task already.
        return 2

    def all_children(self) -> int:
        children = self.children
        for pid in children:
            kill(pid)
        return 2 * len(children)

    def the_template(self) -> int:
        for process in self.daemon.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if " template " in f"{' '.join(process.cmdline())} ":
                    process.kill()
        return 0

    def the_supervisor(self) -> int:
        self.daemon.kill(signal.SIGKILL)
        self.daemon.wait()
        self.daemon.start(size=str(SIZE), env=SETTINGS)
        return 2 * SIZE

    def everything(self) -> int:
        """As the kernel's OOM killer in a bad mood."""
        for process in self.daemon.descendants():
            kill(process.pid)
        return self.the_supervisor()


@pytest.mark.timeout(3600)
def test_late_acknowledgement_loses_nothing_in_any_kill(bed: Bed, rng: random.Random, rounds: int) -> None:
    node = bed.add(size=str(SIZE), **SETTINGS)
    kills, cut_off = Kills(node, rng), 0
    hit: list[Callable[[], int]] = []
    while len(hit) < (6 if rounds == 1 else 300):
        # A supervisor's end in between gives a new budget for deaths.
        hit += [kills.a_child, rng.choice((kills.all_children, kills.the_template, kills.a_child))]
        hit += [rng.choice((kills.the_supervisor, kills.everything))]
    for act in hit:
        bed.send(*some(rng))
        eventually(lambda: node.status["tasks"]["running"] or bed.sent <= set(bed.ran()))
        cut_off += act()
        bed.recovers()
    count = bed.quiet(within=120)
    print(bed.told(f"{len(hit)} kills"))
    assert not count.lost
    assert sum(times - 1 for times in count.begun_again.values()) <= cut_off
    bed.leaves_nothing(died=True)


# -- signals -------------------------------------------------------------------------------------------

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def to_the_supervisor(node: Node, signum: int) -> None:
    node.daemon.kill(signum)


def to_a_child(node: Node, signum: int) -> None:
    [pool] = node.status["pools"]
    kill(pool["children"][0]["pid"], signum)


def to_everyone(node: Node, signum: int) -> None:
    """As systemd and Ctrl-C do."""
    for process in node.daemon.descendants():
        kill(process.pid, signum)
    node.daemon.kill(signum)


STATES = ("busy", "idle", "reloading", "draining", "without a broker")


def bring_into(state: str, bed: Bed, node: Node, rng: random.Random) -> None:
    if state == "idle":
        bed.quiet()
        return
    bed.send(*some(rng), 0.5)
    eventually(lambda: node.status["tasks"]["running"])
    if state == "reloading":
        node.daemon.kill(signal.SIGHUP)
    elif state == "draining":
        node.daemon.kill(signal.SIGTERM)
    elif state == "without a broker":
        node.proxy.refuse()
        node.proxy.cut()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", [to_the_supervisor, to_a_child, to_everyone])
def test_signals_lose_nothing_in_any_state(
    redis_bed: Bed, rng: random.Random, rounds: int, target: Callable[[Node, int], None]
) -> None:
    bed = redis_bed
    node = bed.add(size=str(SIZE), **SETTINGS)
    pairs = [(signum, state) for signum in (*ENDS, signal.SIGHUP) for state in STATES]
    may_repeat = 0
    for signum, state in rng.sample(pairs, len(pairs) if rounds > 1 else 3):
        # What an earlier stop has given back may be at work still, and be cut off as well.
        before = len(bed.sent) - len(bed.count().lost)
        bring_into(state, bed, node, rng)
        target(node, signum)
        ends = state == "draining" or (signum in ENDS and target is not to_a_child)
        if signum == signal.SIGQUIT or (ends and state in ("draining", "without a broker")):
            # Runs are cut off, or the broker cannot be told of their end.
            may_repeat += len(bed.sent) - before
        if ends:
            code = node.daemon.wait()
            assert code in (0, 75), code
        node.proxy.resume()
        if ends:
            node.daemon.start(size=str(SIZE), env=SETTINGS)
        bed.recovers()
    count = bed.quiet()
    print(bed.told("signals"))
    assert not count.lost
    assert sum(times - 1 for times in count.begun_again.values()) <= may_repeat
    bed.leaves_nothing(died=True)
