"""A node that remembers what it was asked, and a pidbox with it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from tests.support.clock import FakeClock
from tests.unit.control.fakes import FakeDaemon
from workerd.broadcast import Heard, Notice
from workerd.clock import LogicalClock
from workerd.control.commands import builtin_commands
from workerd.control.registry import Registry
from workerd.control.remote.pidbox import Manner, Pidbox
from workerd.control.remote.policy import Policy
from workerd.errors import UsageError

HOST = "worker1@example.com"
REPLIES = "reply.celery.pidbox"


class FakeNode:
    def __init__(self) -> None:
        self.hostname, self.clock = HOST, LogicalClock()
        self.here = {"zzz-here"}
        self.ids: list[str] = []
        self.asked: list[Any] = []
        self.sends_task_events = False

    def tasks(self) -> Mapping[str, Any]:
        task = SimpleNamespace(rate_limit="5/s", max_retries=3, exchange=None)
        return {"capapp.add": task, "celery.chord": SimpleNamespace()}

    def held(self, stage: Any) -> list[Any]:
        return []

    def state(self) -> Any:
        return SimpleNamespace(hostname=HOST)

    def revoke(self, ids: Collection[str]) -> None:
        self.ids += ids

    def revoked(self) -> list[str]:
        return self.ids

    def merge_revoked(self, ids: Sequence[str]) -> None:
        self.ids += ids

    def terminate(self, ids: Collection[str], kill: bool) -> list[str]:
        self.asked.append(("terminate", list(ids), kill))
        return [one for one in ids if one in self.here]

    def revoke_stamped(self, stamps: Any) -> None:
        self.asked.append(("stamps", stamps))

    def stamped(self, stamps: Any) -> dict[str, dict[str, set[Any]]]:
        return {}

    def rate_limit(self, task: str, rate: Any) -> None:
        if rate == "x/y":
            raise UsageError("rate 'x/y' cannot be read")
        self.asked.append(("rate", task, rate))

    def time_limit(self, task: str, soft: float | None, hard: float | None) -> None:
        self.asked.append(("limits", task, soft, hard))

    def add_consumer(self, queue: str, options: Mapping[str, Any]) -> None:
        self.asked.append(("add", queue, dict(options)))

    def cancel_consumer(self, queue: str) -> None:
        self.asked.append(("cancel", queue))

    def task_events(self, on: bool) -> bool:
        changed, self.sends_task_events = on is not self.sends_task_events, on
        return changed

    def heartbeat(self) -> None:
        self.asked.append("heartbeat")


class Box:
    """A pidbox, and what it has answered."""

    def __init__(
        self, allow: Sequence[str] = ("all",), key: str = "", registry: Registry | None = None
    ) -> None:
        self.clock, self.daemon, self.node = FakeClock(), FakeDaemon(), FakeNode()
        self.daemon.node = self.node  # type: ignore[attr-defined]
        self.notices: list[Notice] = []
        policy = Policy(allow, key, self.clock)
        manner = Manner("celery.pidbox", REPLIES, "json", ("json",), key)
        daemon: Any = self.daemon
        self.pidbox = Pidbox(registry or builtin_commands(), daemon, policy, manner, self.clock)
        self.pidbox.answer = self.notices.append

    def hear(self, body: Any, headers: Mapping[str, Any] | None = None) -> None:
        """Take a message; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pidbox.heard(Heard("", data, headers or {}, "application/json", "utf-8"))

    def ask(self, method: str, headers: Mapping[str, Any] | None = None, /, **arguments: Any) -> Any:
        """The answer to one command."""
        body = {"method": method, "arguments": arguments, "ticket": "t", "reply_to": reply_to()}
        before = len(self.notices)
        self.hear(body, headers)
        if len(self.notices) == before:
            return NO_ANSWER
        return json.loads(self.notices[-1].body)[HOST]


NO_ANSWER = object()


def reply_to(exchange: str = REPLIES) -> dict[str, str]:
    return {"exchange": exchange, "routing_key": "oid"}
