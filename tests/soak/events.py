"""What a soak does to a daemon: one random event at a time, within the restart budget.

Every task that is sent has a number of its own and an expected end, so that each can be accounted for.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.daemon import Workerd
from workerd import App
from workerd.app.results.result import AsyncResult

GOOD = "from tests.support.apps.ledger import *  # noqa: F403\nfrom tests.support.apps.ledger import app\n"
BROKEN = "raise RuntimeError('this code does not import')\n"

POOLS = {"default": "celery", "video": "video"}
"""The pools and the queue of each; an event hits one of them."""

DEATHS = 4
"""Deaths within a window that the smallest pool replaces at once; one more and it is right to slow down."""
WINDOW = 75.0
"""The budget's minute, and what a poisonous message may wait before it kills."""


@dataclass
class Sent:
    """Numbers of tasks by the end that each must come to."""

    ordinary: set[int] = field(default_factory=set)
    limited: dict[int, AsyncResult] = field(default_factory=dict)
    greedy: dict[int, AsyncResult] = field(default_factory=dict)
    poison: dict[int, AsyncResult] = field(default_factory=dict)

    @property
    def next(self) -> int:
        return sum(map(len, (self.ordinary, self.limited, self.greedy, self.poison)))


class Soak:
    """Events against one daemon; ``module`` is the file of its app."""

    def __init__(self, daemon: Workerd, app: App, module: Path, rng: random.Random) -> None:
        self.daemon, self.app, self.module, self.rng = daemon, app, module, rng
        self.sent = Sent()
        self.kills = 0
        self.log: list[str] = []
        self._deaths: deque[float] = deque()
        self.events = {
            self.load: 8,
            self.scale: 4,
            self.set_free: 2,
            self.one_more: 1,
            self.one_less: 1,
            self.kill_child: 3,
            self.freeze_child: 2,
            self.kill_template: 1,
            self.reload: 2,
            self.reload_broken: 1,
            self.hang_up: 1,
            self.over_the_limit: 2,
            self.too_much_memory: 1,
            self.poison: 1,
        }

    def event(self) -> None:
        """One of them, by weight."""
        (event,) = self.rng.choices(list(self.events), list(self.events.values()))
        self.log.append(event.__name__)
        event()

    # -- load

    def load(self) -> None:
        queue = self.rng.choice(list(POOLS.values()))
        for _ in range(self.rng.randrange(5, 120)):
            number = self.sent.next
            self.sent.ordinary.add(number)
            seconds = self.rng.choice((0.0, 0.0, 0.0, 0.002, 0.02, 0.3))
            self.app.send_task("ledger.run", (number, seconds), queue=queue, ignore_result=True)

    def over_the_limit(self) -> None:
        number = self.sent.next
        self.sent.limited[number] = self.app.send_task("ledger.run", (number, 600.0), time_limit=1.5)

    def too_much_memory(self) -> None:
        number = self.sent.next
        self.sent.greedy[number] = self.app.send_task("ledger.gorge", (number, 300))

    def poison(self) -> None:
        if self._may_die(3):
            number = self.sent.next
            self.sent.poison[number] = self.app.send_task("ledger.die", (number, int(signal.SIGKILL)))

    # -- operators

    def scale(self) -> None:
        done = self.daemon.run("scale", self.rng.choice(list(POOLS)), str(self.rng.randrange(1, 7)))
        assert done.returncode == 0, done.stderr

    def set_free(self) -> None:
        """From here on the pool finds its own size."""
        done = self.daemon.run("scale", self.rng.choice(list(POOLS)), "1-6")
        assert done.returncode == 0, done.stderr

    def one_more(self) -> None:
        self.daemon.kill(signal.SIGTTIN)

    def one_less(self) -> None:
        self.daemon.kill(signal.SIGTTOU)

    def hang_up(self) -> None:
        self.daemon.kill(signal.SIGHUP)

    def reload(self) -> None:
        done = self.daemon.run("reload")
        assert done.returncode == 0, done.stderr

    def reload_broken(self) -> None:
        self.module.write_text(BROKEN)
        done = self.daemon.run("reload")
        self.module.write_text(GOOD)
        assert done.returncode == 1, done.stdout
        assert "this code does not import" in done.stderr

    # -- bad weather

    def kill_child(self) -> None:
        if not self._may_die(1):
            return
        child = self._child()
        if child is not None:
            self.kills += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def freeze_child(self) -> None:
        child = self._child()
        with contextlib.suppress(ProcessLookupError):
            if child is not None:
                os.kill(child, signal.SIGSTOP)
                time.sleep(self.rng.uniform(0.0, 0.5))
                os.kill(child, signal.SIGCONT)

    def kill_template(self) -> None:
        if not self._may_die(1):
            return
        for process in self.daemon.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if " template " in f"{' '.join(process.cmdline())} ":
                    process.kill()

    def _child(self) -> int | None:
        """A child that the supervisor has: its own, not one of a task."""
        children = [child for pool in self.daemon.status()["pools"] for child in pool["children"]]
        pids = [child["pid"] for child in children if child["pid"]]
        return self.rng.choice(pids) if pids else None

    def _may_die(self, deaths: int) -> bool:
        now = time.monotonic()
        while self._deaths and self._deaths[0] < now - WINDOW:
            self._deaths.popleft()
        if len(self._deaths) + deaths > DEATHS:
            return False
        self._deaths.extend([now] * deaths)
        return True
