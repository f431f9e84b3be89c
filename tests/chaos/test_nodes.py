"""Three daemons on one Redis, each behind its own link: while they renew their leases nothing runs twice."""

from __future__ import annotations

import os
import random
import signal

import pytest

from tests.chaos.bed import Bed
from tests.chaos.cuts import Cuts
from tests.support.eventually import eventually

NAMES = ("one", "two", "three")


@pytest.mark.timeout(1800)
def test_three_nodes_repeat_nothing_while_their_links_are_cut(
    redis_bed: Bed, rng: random.Random, rounds: int
) -> None:
    bed = redis_bed
    for name in NAMES:
        bed.add(name, WORKERD_LEASE="15s")
    cuts = [Cuts(bed, node, rng) for node in bed.nodes]
    for _ in range(6 * rounds):
        for cut in rng.sample(cuts, rng.randrange(1, len(cuts) + 1)):
            cut.cut()
        bed.recovers()
        bed.finished()
    bed.exactly_once()
    assert all(node.status["tasks"]["repeated"] == 0 for node in bed.nodes)
    print(bed.told("cuts of three nodes' links"))
    bed.leaves_nothing()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_cluster_bears_a_silence_past_the_lease_of_one_node(redis_bed: Bed, rng: random.Random) -> None:
    """What others took over meanwhile runs twice if it ran; the silent one's late word counts for nothing."""
    bed = redis_bed
    for name in NAMES:
        bed.add(name, WORKERD_LEASE="2s")
    silent = bed.nodes[0]
    for _ in range(5):
        bed.send(*(rng.choice((0.0, 0.1, 0.5)) for _ in range(20)))
        eventually(lambda: silent.status["tasks"]["running"])
        os.kill(silent.daemon.pid, signal.SIGSTOP)
        try:
            bed.finished(within=60)  # with what it held
        finally:
            os.kill(silent.daemon.pid, signal.SIGCONT)
        count = bed.quiet()
        assert len(count.begun_again) <= silent.status["tasks"]["repeated"]
    assert not count.lost
    print(bed.told("silences past a lease"))
    bed.leaves_nothing()
