"""A test bed for faults: a broker that may be hurt, daemons behind links that may be hurt, numbered tasks.

Each task has a number of its own and notes its start and its end in the file of its node.  After quiet the
``Count`` says of each number that was sent whether it is done once, more than once, or lost.

Units: seconds.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.support.proxy import Proxy
from workerd import App
from workerd.errors import UnavailableError

QUEUE = "celery"
HELD = ("scheduled", "reserved", "limited", "acknowledging", "running", "storing", "settling")


@dataclass(frozen=True)
class Count:
    """What became of the numbered tasks."""

    once: int
    more: dict[int, int]
    lost: list[int]
    begun_again: dict[int, int]
    """Begun more than once, whether or not they ended so."""

    def __str__(self) -> str:
        return (
            f"{self.once} done once, {len(self.more)} more than once, {len(self.lost)} lost;"
            f" {len(self.begun_again)} begun again"
        )


@dataclass
class Node:
    """One daemon and its own link to the broker."""

    daemon: Workerd
    proxy: Proxy
    before: tuple[int, Counter[str]] = (0, Counter())  # what it had at first

    @property
    def status(self) -> dict[str, Any]:
        """As ``workerd status --json`` shows it."""
        return self.daemon.status()

    @property
    def restarts(self) -> int:
        """How often the link has come up again."""
        return int(self.status["link"]["restarts"])

    @property
    def up(self) -> bool:
        return bool(self.status["link"]["state"] == "up")

    @property
    def at_rest(self) -> bool:
        """Connected, whole, and with nothing in hand."""
        status = self.status
        [pool] = status["pools"]
        whole = pool["wanted"] == pool["alive"] == len(pool["children"])
        held = sum(status["tasks"][stage] for stage in HELD)
        assert status["state"] == "running" and status["link"]["state"] == "up", status
        assert whole and not held, status
        return True

    @property
    def belongings(self) -> tuple[int, Counter[str]]:
        """Processes, and the supervisor's descriptors by what they are."""
        found: Counter[str] = Counter()
        for fd in Path(f"/proc/{self.daemon.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found[re.sub(r"\d+", "n", str(fd.readlink()))] += 1
        return len(self.daemon.descendants()), found

    def has_what_it_had(self) -> bool:
        """As many processes as after its start, and no descriptor more."""
        (processes, found), (before, had) = self.belongings, self.before
        assert processes == before and found <= had, (processes, found - had)
        return True

    def settled(self) -> bool:
        """Take down what it has; true when that does not change any more, as when a ``status`` has ended."""
        seen, self.before = self.before, self.belongings
        return seen == self.before


@dataclass
class Bed:
    """``server`` is the broker; ``results`` the Redis of the results, not hurt unless it is the broker."""

    server: RedisServer | RabbitServer
    results: RedisServer
    home: Path
    nodes: list[Node] = field(default_factory=list)
    sent: set[int] = field(default_factory=set)
    patience: float = 60.0
    """Within which each recovery must have come."""
    recoveries: list[float] = field(default_factory=list)
    """From the end of each fault to the start of a task that was sent after it."""
    full_before: set[str] = field(init=False)
    """Queues of a shared RabbitMQ in which other tests have left something."""

    def __post_init__(self) -> None:
        self.full_before = full_queues(self.server)

    # -- daemons -----------------------------------------------------------------------------------

    def add(
        self,
        name: str = "main",
        *,
        size: str = "2",
        backend: str = "",
        ledger: Path | None = None,
        **env: str,
    ) -> Node:
        """Start one daemon more; ``env`` are its settings; ``backend`` and ``ledger`` are where its results
        and its tasks' notes go instead."""
        home = self.home / name
        home.mkdir()
        proxy = Proxy(self.server.port)
        broker = proxy.url(self.server.url)
        backend = backend or (broker if self.server is self.results else self.results.url)
        daemon = Workerd(home, broker=broker, backend=backend, name=name)
        if ledger is not None:
            daemon.ledger, daemon.env["LEDGER"] = ledger, str(ledger)
        node = Node(daemon, proxy)
        self.nodes.append(node)  # first: it is ended whatever happens
        daemon.start(size=size, env=env)
        eventually(lambda: node.at_rest, within=60)
        eventually(node.settled, every=0.1)
        return node

    @property
    def node(self) -> Node:
        """The first or only one."""
        return self.nodes[0]

    def close(self) -> None:
        """End all of them, whatever state they are in."""
        try:
            for node in self.nodes:
                node.daemon.end()
        finally:
            for node in self.nodes:
                node.proxy.close()

    # -- tasks -------------------------------------------------------------------------------------

    def client(self) -> App:
        """A client whose link is not hurt, unless the broker is."""
        return App("client", broker=self.server.url, backend=self.results.url)

    def send(self, *seconds: float, task: str = "ledger.run") -> list[int]:
        """One task for each of ``seconds``, over a connection of its own; their numbers."""
        numbers = []
        with self.client() as app:
            for each in seconds:
                number = len(self.sent)
                app.send_task(task, (number, each), queue=QUEUE, ignore_result=True)
                self.sent.add(number)
                numbers.append(number)
        return numbers

    def ran(self, word: str = "end") -> Counter[int]:
        """How often each number was noted, by all nodes together."""
        return sum((node.daemon.ran(word) for node in self.nodes), Counter())

    def recovers(self) -> None:
        """Send one task and wait until it begins; how long that took from now on is kept."""
        began = time.monotonic()
        [probe] = eventually(self._sent_anew, within=self.patience)
        eventually(lambda: self.ran("start")[probe], within=self.patience, every=0.01)
        self.recoveries.append(time.monotonic() - began)

    def _sent_anew(self) -> list[int]:
        """A client that comes too early tries again."""
        try:
            return self.send(0.0)
        except UnavailableError:
            return []

    # -- the count ---------------------------------------------------------------------------------

    def finished(self, within: float = 90.0) -> None:
        """Wait until everything that was sent has ended once at least."""
        eventually(lambda: self.sent <= set(self.ran()), within=within)

    def quiet(self, within: float = 90.0) -> Count:
        """Wait until nothing is on its way any more, then count.  Errors: AssertionError."""
        self.finished(within)
        for node in self.nodes:
            eventually(lambda node=node: node.at_rest, within=within)  # type: ignore[misc]
        return self.count()

    def count(self) -> Count:
        started, ended = self.ran("start"), self.ran()
        assert set(started) | set(ended) <= self.sent, "a task ran that nobody has sent"
        return Count(
            once=sum(ended[number] == 1 for number in self.sent),
            more={number: times for number, times in ended.items() if times > 1},
            lost=sorted(self.sent - set(ended)),
            begun_again={number: times for number, times in started.items() if times > 1},
        )

    def exactly_once(self, **within: float) -> Count:
        """As ``quiet``; nothing may be lost, and nothing begun twice."""
        count = self.quiet(**within)
        assert count.once == len(self.sent) and not count.begun_again, count
        return count

    def leaves_nothing(self, died: bool = False) -> None:
        """At rest each daemon has what it had at first; after its end the broker has nothing of it.

        Of one that has ``died`` its lease may be there, until that runs out.
        """
        for node in self.nodes:
            eventually(node.has_what_it_had, within=30)
        for node in self.nodes:
            assert node.daemon.stop() == 0
            node.daemon.leaves_nothing()
        if isinstance(self.server, RedisServer):
            with self.server.client() as client:
                lasting = {key for key in client.scan_iter() if client.ttl(key) == -1}
                # The last is kombu's own note of what bindings end when; it has one entry for an exchange.
                kombus = {b"_kombu.binding.celery", b"_kombu.binding_permanent.celery"}
                assert lasting - {b"_kombu.binding_deadlines"} == kombus, lasting
                assert died or not list(client.scan_iter("workerd:*"))
        else:
            assert full_queues(self.server) <= self.full_before

    def told(self, what: str) -> str:
        """One line on what was measured."""
        ordered = sorted(self.recoveries)
        times = "no recovery measured"
        if ordered:
            times = f"recovery {ordered[len(ordered) // 2]:.2f} s in the middle, {ordered[-1]:.2f} s at most"
        return f"{what}: {len(self.sent)} tasks, {self.count()}; {times} of {len(ordered)}"


def full_queues(server: RedisServer | RabbitServer) -> set[str]:
    """The queues of a RabbitMQ that have messages."""
    if isinstance(server, RedisServer):
        return set()
    listed = server.ctl("-q", "--no-table-headers", "list_queues", "name", "messages").splitlines()
    return {name for name, count in (line.split("\t") for line in listed) if count != "0"}
