"""``app.control.inspect()``: the commands that look, each as a method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Unpack

from workerd.app.remote.reply_box import Answers, Whom

Found = dict[str, Any] | None


class Broadcast(Protocol):
    """``app.control.broadcast``."""

    def __call__(self, command: str, arguments: dict[str, Any], **whom: Unpack[Whom]) -> Answers | None: ...


class Inspect:
    """Each method gives the answers by node, or None when no node has answered."""

    def __init__(self, broadcast: Broadcast, whom: Whom) -> None:
        self._broadcast, self._whom = broadcast, whom

    def ask(self, command: str, **arguments: Any) -> Found:
        """The answers to any command."""
        merged: dict[str, Any] = {}
        for answer in self._broadcast(command, arguments, **self._whom) or ():
            merged |= answer
        return merged or None

    def ping(self) -> Found:
        return self.ask("ping")

    def active(self, safe: bool | None = None) -> Found:
        return self.ask("active", safe=safe)

    def reserved(self) -> Found:
        return self.ask("reserved")

    def scheduled(self) -> Found:
        return self.ask("scheduled")

    def revoked(self) -> Found:
        return self.ask("revoked")

    def registered(self, *attributes: str) -> Found:
        return self.ask("registered", taskinfoitems=list(attributes))

    def stats(self) -> Found:
        return self.ask("stats")

    def active_queues(self) -> Found:
        return self.ask("active_queues")

    def query_task(self, *ids: str) -> Found:
        return self.ask("query_task", ids=list(ids))

    def conf(self, with_defaults: bool = False) -> Found:
        return self.ask("conf", with_defaults=with_defaults)

    def clock(self) -> Found:
        return self.ask("clock")

    def report(self) -> Found:
        return self.ask("report")

    def memsample(self) -> Found:
        return self.ask("memsample")

    def memdump(self, samples: int = 10) -> Found:
        return self.ask("memdump", samples=samples)

    def objgraph(self, type: str = "Request", n: int = 200, max_depth: int = 10) -> Found:  # noqa: A002
        """Celery's workers answer with a file's name, ours that they do not have it."""
        return self.ask("objgraph", num=n, max_depth=max_depth, type=type)

    def hello(self, from_node: str, revoked: Iterable[str] = ()) -> Found:
        """What nodes ask each other when they start; those asked revoke the ids in ``revoked`` too."""
        return self.ask("hello", from_node=from_node, revoked=list(revoked))

    registered_tasks = registered
