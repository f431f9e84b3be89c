"""Time limits: who may say how long a run takes, and whose word counts.

From the strongest to the weakest: the operator (``workerd limit``), the message, the task's own options, the
pool's settings, the app's settings.  Soft and hard limit are decided each for itself.  Pure.

Units: seconds; None says nothing, infinity says that there is no limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workerd.delivery.request import TaskOptions
    from workerd.protocol.message import Message

NONE = math.inf
"""There is no limit."""


class Limits(NamedTuple):
    """What one of them says."""

    soft: float | None = None
    hard: float | None = None

    def over(self, weaker: Limits) -> Limits:
        """These, and where they say nothing ``weaker``."""
        return Limits(
            weaker.soft if self.soft is None else self.soft, weaker.hard if self.hard is None else self.hard
        )


NOTHING = Limits()


class LiveLimits:
    """The operator's word, by the name of the task.  It holds until it is taken back or a restart."""

    def __init__(self) -> None:
        self.by_task: dict[str, Limits] = {}

    def set(self, task: str, limits: Limits) -> None:
        """Where ``limits`` say nothing, what was said before stays."""
        self.by_task[task] = limits.over(self.by_task.get(task, NOTHING))

    def reset(self, task: str) -> None:
        """Take it back."""
        self.by_task.pop(task, None)

    def of(self, message: Message, options: TaskOptions, pool: Limits) -> Limits:
        """The limits of one run."""
        limits = of_task(options, pool)
        hard, soft = message.timelimit
        if hard or soft:
            # A message's 0 says nothing, as for Celery's workers.
            limits = Limits(soft or None, hard or None).over(limits)
        if (said := self.by_task.get(message.task)) is not None:
            limits = said.over(limits)
        return limits


def of_task(options: TaskOptions, pool: Limits) -> Limits:
    """The limits of runs of which neither the operator nor the message says anything."""
    soft, hard = options.soft_time_limit, options.time_limit
    if soft is None:
        soft = options.app_soft_time_limit if pool.soft is None else pool.soft
    if hard is None:
        hard = options.app_time_limit if pool.hard is None else pool.hard
    return NOTHING if soft is None and hard is None else Limits(soft, hard)
