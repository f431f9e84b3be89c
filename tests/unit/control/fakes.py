"""A daemon that remembers what it was asked, and a reply that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workerd.control.daemon import Fact
from workerd.control.scaling import scaled
from workerd.errors import WorkerdError


class FakeDaemon:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.bounds = (2, 2)
        self.reload_done: Callable[[bool, str, str], None] | None = None
        self.subscribers: list[Callable[[Fact], None]] = []

    def status(self) -> dict[str, Any]:
        return {"name": "main", "state": "running", "pools": [{"alive": 2, "wanted": 2}]}

    def health(self) -> dict[str, Any]:
        return {"live": True, "ready": True, "reasons": []}

    def ask_stop(self, now: bool, timeout: float | None) -> None:
        self.asked.append(("stop", now, timeout))

    def ask_reload(self, done: Callable[[bool, str, str], None], whole: bool = False) -> None:
        self.asked.append(("reload", whole))
        self.reload_done = done

    def ask_restart(self) -> None:
        self.asked.append("restart")

    def scale(self, spec: str, pool: str, dry_run: bool) -> dict[str, Any]:
        self.asked.append(("scale", spec, pool, dry_run))
        was, (lower, upper) = self.bounds[0], scaled(self.bounds, spec)
        if not dry_run:
            self.bounds = (lower, upper)
        leaving = [{"slot": 2, "pid": 9, "after": None}] if lower < was else []
        size = {"lower": lower, "upper": upper, "was": was, "wanted": lower, "alive": was}
        return {"pool": pool, **size, "leaving": leaving, "dry_run": dry_run}

    def limit(
        self, task: str, soft: float | None, hard: float | None, rate: Any, reset: bool
    ) -> dict[str, Any]:
        self.asked.append(("limit", task, soft, hard, rate, reset))
        given = {"soft": soft, "hard": hard}
        said = {name: value for name, value in {**given, "rate": rate}.items() if value is not None}
        counts = {"running": 1, "waiting": 0}
        return {"task": task, "pools": {"default": given}, "rate": rate or "none", "set": said, **counts}

    def terminate(self, task_id: str, kill: bool) -> dict[str, Any]:
        self.asked.append(("terminate", task_id, kill))
        return {"id": task_id, "done": ["killed" if kill else "interrupted"]}

    def subscribe(self, callback: Callable[[Fact], None]) -> Callable[[], None]:
        self.subscribers.append(callback)

        def cancel() -> None:
            if callback in self.subscribers:
                self.subscribers.remove(callback)

        return cancel

    def tell(self, **fact: Any) -> None:
        for callback in list(self.subscribers):
            callback(fact)


class FakeReply:
    def __init__(self) -> None:
        self.events: list[Fact] = []
        self.value: Mapping[str, Any] | None = None
        self.error: WorkerdError | None = None
        self.traceback = ""
        self.callbacks: list[Callable[[], object]] = []

    def event(self, fact: Fact) -> None:
        self.events.append(fact)

    def answer(self, value: Mapping[str, Any]) -> None:
        self.value = value
        self._end()

    def fail(self, error: WorkerdError, traceback: str = "") -> None:
        self.error, self.traceback = error, traceback
        self._end()

    def on_end(self, callback: Callable[[], object]) -> None:
        self.callbacks.append(callback)

    def _end(self) -> None:
        for callback in self.callbacks:
            callback()
