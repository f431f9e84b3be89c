"""Strategies: by the name of a task, who is given its messages as they come.

Each is called as ``strategy(message, body, ack, reject, callbacks)``, as Celery's are: ``body`` is None, as
arguments stay undecoded in the supervisor; ``ack()`` and ``reject(requeue=False)`` answer the message,
whatever they are given besides; ``callbacks`` is ``c.on_task_message``.  The default strategy has the task
run, and they are called with its request.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterable
from typing import Any

Strategy = Callable[..., Any]


class Strategies(UserDict[str, Strategy]):
    """One for each task that is known, ``default`` unless a step has replaced it.

    Each is called as ``strategy(message, body, ack, reject, callbacks)``; ``body`` is None and ``callbacks``
    is ``c.on_task_message``.  ``ack()`` or ``reject(requeue=False)`` answers the message.
    """

    def __init__(self, default: Strategy) -> None:
        self.default = default
        self.replaced: dict[str, Strategy] = {}
        """Those that steps have put in, which is all that messages are looked up in."""
        super().__init__()

    def __setitem__(self, task: str, strategy: Strategy) -> None:
        self.data[task] = strategy
        if strategy == self.default:
            self.replaced.pop(task, None)
        else:
            self.replaced[task] = strategy

    def __delitem__(self, task: str) -> None:
        """The default again."""
        del self.data[task]
        self.replaced.pop(task, None)

    def know(self, tasks: Iterable[str]) -> None:
        """These are the tasks now; what was replaced stays so."""
        self.data = dict.fromkeys(tasks, self.default) | self.replaced
