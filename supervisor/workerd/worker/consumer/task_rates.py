"""How often each task may begin on this node: whose word counts, and since when.

The last word that was said while the daemon runs, by an operator or by a step that has set ``rate_limit`` of
a task; else the code that serves.  So a reload brings the limits of the new code, except where somebody has
spoken.  The supervisor's own tasks always tell what holds: steps read it there.

Errors: UsageError from ``say``.  What else cannot be read as a rate is logged, and is no limit.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from workerd.errors import UsageError
from workerd.protocol.rate import Rate, parse_rate

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.delivery import Dispatcher

logger = logging.getLogger(__name__)


class TaskRates:
    """For one daemon; the buckets are the dispatcher's."""

    def __init__(self, app: App, dispatcher: Dispatcher) -> None:
        self._app, self._dispatcher = app, dispatcher
        self.enabled = not app.conf.worker_disable_rate_limits
        self.said: dict[str, Rate] = {}
        """What was said while the daemon runs, by the name of the task."""
        self._seen: dict[str, Rate] = {name: task.rate_limit for name, task in app.tasks.items()}

    def of(self, task: str) -> Rate:
        """The limit of ``task``, as it was written."""
        if task in self.said:
            return self.said[task]
        tables = [lane.tasks for lane in self._dispatcher.lanes.values() if lane.tasks]
        if not tables:
            return self._seen.get(task)  # the supervisor has imported what the first children will
        return next((table[task].rate_limit for table in tables if task in table), None)

    def say(self, task: str, rate: Rate) -> None:
        """From now on this holds, over reloads too.

        Errors: UsageError for what is no rate, and where the app has switched rate limits off.
        """
        try:
            parse_rate(rate)
        except ValueError as exc:
            raise UsageError(f"{rate!r} is no rate limit", str(exc)) from None
        if not self.enabled:
            raise UsageError("this app has no rate limits", "its setting worker_disable_rate_limits is true")
        self.said[task] = rate
        self._apply(task)

    def take_back(self, task: str) -> None:
        """What the code says holds again."""
        self.said.pop(task, None)
        self._apply(task)

    def reset(self) -> None:
        """Take up what steps have set, and what new code says."""
        for name, task in self._app.tasks.items():
            if task.rate_limit != self._seen.get(name):
                self.said[name] = task.rate_limit
        in_code = {name for lane in self._dispatcher.lanes.values() for name in lane.tasks}
        for name in in_code | self._seen.keys() | self.said.keys() | self._dispatcher.rates.limited.keys():
            self._apply(name)

    def _apply(self, name: str) -> None:
        rate = self.of(name)
        if name in self._app.tasks:
            self._app.tasks[name].rate_limit = self._seen[name] = rate
        try:
            starts = parse_rate(rate)
        except ValueError as exc:
            logger.error("Task %s has no rate limit, as %r cannot be read: %s", name, rate, exc)
            starts = 0.0
        self._dispatcher.rates.limit(name, starts if self.enabled else 0.0)
