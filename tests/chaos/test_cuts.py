"""Links that are cut at random: as many recoveries as cuts, nothing lost, nothing run twice."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.chaos.bed import Bed
from tests.chaos.cuts import Cuts
from tests.support.eventually import eventually


@pytest.mark.timeout(1800)
def test_there_are_as_many_recoveries_as_random_cuts(bed: Bed, rng: random.Random, rounds: int) -> None:
    node = bed.add()
    cuts, many = Cuts(bed, node, rng), 200 if rounds > 1 else 12
    for done in range(many):
        cuts.cut()
        bed.recovers()
        eventually(lambda done=done: node.up and node.restarts == done + 1)  # type: ignore[misc]
        bed.finished()  # or the next recovery would be that of all that waits
    bed.exactly_once()
    print(bed.told(f"{many} cuts ({Counter(cuts.log)})"))
    bed.leaves_nothing()
