"""Brokers that restart, die, hang and throw their clients out: nothing is lost, nothing runs twice."""

from __future__ import annotations

import random
import time

import pytest

from tests.chaos.bed import Bed
from tests.support.brokers import RabbitServer
from tests.support.eventually import eventually

SHORT = 2.0
"""Seconds of silence that nobody takes for the end of the link."""


def some(rng: random.Random, most: float = 0.2) -> list[float]:
    """How long some tasks run: a few of them over a fault."""
    return [rng.choice((0.0, 0.01, 0.1, most)) for _ in range(rng.randrange(4, 12))]


@pytest.mark.timeout(1800)
def test_a_broker_that_restarts_again_and_again(bed: Bed, rng: random.Random, rounds: int) -> None:
    """Twenty times in a row; the daemon may still be looking for it when it goes again."""
    node = bed.add()
    quick = 1 if isinstance(bed.server, RabbitServer) else 5  # RabbitMQ takes its time
    for _ in range(20 if rounds > 1 else quick):
        bed.send(*some(rng))
        bed.server.restart()
    bed.finished()  # or this would be the recovery of all that waits
    bed.recovers()
    assert node.restarts >= 1
    bed.exactly_once(within=180)
    print(bed.told("restarts of the broker in a row"))
    bed.leaves_nothing()


@pytest.mark.timeout(1800)
def test_a_broker_that_is_killed_hangs_and_throws_its_clients_out(
    bed: Bed, rng: random.Random, rounds: int
) -> None:
    node = bed.add()
    for fault in (killed, hung, dropped) * (1 if rounds == 1 else 5):
        bed.send(*some(rng), 1.0)
        eventually(lambda: node.status["tasks"]["running"])
        before = node.restarts
        fault(bed)
        bed.recovers()
        if fault is not hung:
            eventually(lambda before=before: node.restarts > before)  # type: ignore[misc]
        bed.finished()
    bed.exactly_once()
    print(bed.told("kills, short hangs and dropped clients"))
    bed.leaves_nothing()


def killed(bed: Bed) -> None:
    bed.server.kill()
    bed.server.start()


def hung(bed: Bed) -> None:
    bed.server.pause()
    time.sleep(SHORT)  # the fault itself
    bed.server.resume()


def dropped(bed: Bed) -> None:
    """``CLIENT KILL``, or ``close_all_connections`` in the words of RabbitMQ."""
    bed.server.drop_clients()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("where", ["the broker", "the link"])
def test_a_silence_that_does_not_end_is_noticed_within_half_a_minute(
    bed: Bed, rng: random.Random, where: str
) -> None:
    node = bed.add()
    bed.send(*some(rng))
    bed.quiet()
    bed.send(1.0, 1.0, 1.0)
    eventually(lambda: node.status["tasks"]["running"])
    began = time.monotonic()
    bed.server.pause() if where == "the broker" else node.proxy.freeze()
    eventually(lambda: not node.up, within=40)
    noticed = time.monotonic() - began
    bed.server.resume() if where == "the broker" else node.proxy.resume()
    bed.recovers()
    bed.exactly_once()
    print(bed.told(f"silence of {where}, noticed after {noticed:.1f} s"))
    assert noticed <= 30.0
    bed.leaves_nothing()
