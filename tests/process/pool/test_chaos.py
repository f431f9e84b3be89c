"""Kills at random moments: every job ends exactly once, whatever dies."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter

from tests.process.pool.conftest import Notes, Rig
from workerd_pool import Death, Job


class Ledger(Notes):
    """How each job ended, with repetitions."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: Counter[int] = Counter()

    def on_done(self, job: Job, header: dict[str, object], body: bytes) -> None:
        self.ends[job.id] += 1
        super().on_done(job, header, body)

    def on_lost(self, job: Job, death: Death) -> None:
        self.ends[job.id] += 1
        super().on_lost(job, death)

    def on_returned(self, job: Job) -> None:
        self.ends[job.id] += 1
        super().on_returned(job)


def test_every_job_ends_once_while_children_and_templates_die(
    rig: Rig, rng: random.Random, rounds: int
) -> None:
    ledger = rig.notes = Ledger()
    rig.boot(4)
    rig.pool._reconciler.health.children.limit = 10_000
    rig.pool._reconciler.health.templates.limit = 10_000
    total, sent = 4000 * rounds, 0

    def feed() -> None:
        nonlocal sent
        while rig.pool.free and sent < total:
            sent += 1
            rig.submit("echo", rng.randbytes(rng.choice((10, 1000, 70_000))))

    ledger.when_free = feed
    kills = 0

    def disturb() -> bool:
        nonlocal kills
        feed()
        if rng.random() < 0.1 and kills < 30 * rounds:
            kills += 1
            _disturb(rig, rng)
        return sum(ledger.ends.values()) >= total

    rig.until(disturb, within=60.0 * rounds)
    assert kills
    rig.until(lambda: rig.pool.info()["jobs"] == 0)
    assert set(ledger.ends) == set(range(1, total + 1))
    assert set(ledger.ends.values()) == {1}
    # At most the job it ran, and the next one in the instant between two.
    assert len(ledger.lost) <= 2 * kills
    rig.until(lambda: rig.pool.alive == 4)


def _disturb(rig: Rig, rng: random.Random) -> None:
    children = [child.pid for child in rig.pool.children() if child.pid]
    match rng.randrange(5):
        case 0:
            rig.pool.reload()
        case 1:
            for template in rig.pool.info()["templates"]:
                os.kill(template["pid"], signal.SIGKILL)
        case 2:
            for job in rig.pool.take_back():
                rig.notes.on_returned(job)
        case _ if children:
            # It may be dead already, and not yet reaped or reaped a moment ago.
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(children), signal.SIGKILL)
