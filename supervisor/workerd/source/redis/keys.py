"""Names of the keys in Redis, as kombu spells them, and of the few that are ours.

A queue is one list a priority step; on Redis priority 0 is served first.  ``<queue>.dead`` holds what was
put aside, ``workerd:dead`` the names of the queues for which there is such a list, ``workerd:delayed`` the
messages that wait for their ETA.
``workerd:lease:<owner>`` tells that an owner of messages in flight lives, ``workerd:owners`` which there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import msgspec

TABLE = "_kombu.binding.{}"
PERMANENT_TABLE = "_kombu.binding_permanent.{}"


class Keys(msgspec.Struct, frozen=True):
    """Key names under one set of kombu's transport options."""

    prefix: str = ""
    separator: str = "\x06\x16"
    steps: tuple[int, ...] = (0, 3, 6, 9)
    unacked_name: str = "unacked"
    index_name: str = "unacked_index"

    @classmethod
    def of_options(cls, options: Mapping[str, Any]) -> Keys:
        """From the ``transport_options`` of a kombu connection."""
        usual = cls()
        return cls(
            prefix=options.get("global_keyprefix", usual.prefix),
            separator=options.get("sep", usual.separator),
            steps=tuple(sorted(options.get("priority_steps", usual.steps))),
            unacked_name=options.get("unacked_key", usual.unacked_name),
            index_name=options.get("unacked_index_key", usual.index_name),
        )

    @property
    def unacked(self) -> str:
        """Hash of messages in flight: tag to ``[message, exchange, routing key]``."""
        return self.prefix + self.unacked_name

    @property
    def index(self) -> str:
        """Sorted set of their tags; the score is Unix time."""
        return self.prefix + self.index_name

    def lists(self, queue: str) -> list[str]:
        """The lists of ``queue``, first to be served first."""
        return [self._list(queue, step) for step in self.steps]

    def list_for(self, queue: str, priority: int) -> str:
        """The list in which kombu keeps a message of ``priority``; steps round down."""
        bounded = max(min(priority, 9), 0)
        # Below the lowest step the index is -1, the last list: so it is in kombu.
        return self._list(queue, self.steps[bisect_right(self.steps, bounded) - 1])

    def queue_of(self, name: str) -> str:
        """The queue to which the list ``name`` belongs."""
        queue, separator, step = name.removeprefix(self.prefix).rpartition(self.separator)
        return queue if separator and step.isdecimal() else name.removeprefix(self.prefix)

    def dead(self, queue: str) -> str:
        return f"{self.prefix}{queue}.dead"

    @property
    def dead_queues(self) -> str:
        """Set of the queues that have had dead letters."""
        return f"{self.prefix}workerd:dead"

    @property
    def delayed(self) -> str:
        """Sorted set of the messages that wait for their ETA; the score is that, in Unix time."""
        return f"{self.prefix}workerd:delayed"

    @property
    def owners(self) -> str:
        """Set of the owners that have renewed a lease and were not seen to leave."""
        return f"{self.prefix}workerd:owners"

    def deaths(self, owner: str) -> str:
        """Hash of tags of ``owner``: the deaths to count when its work is taken over."""
        return f"{self.prefix}workerd:deaths:{owner}"

    def lease(self, owner: str) -> str:
        return f"{self.prefix}workerd:lease:{owner}"

    def bindings(self, queue: str) -> list[tuple[str, str]]:
        """(set, member) by which kombu finds ``queue`` behind the direct exchange of the same name."""
        member = self.separator.join((queue, "", queue))
        return [(self.prefix + table.format(queue), member) for table in (TABLE, PERMANENT_TABLE)]

    def table(self, exchange: str) -> str:
        """Set of the bindings of ``exchange``: routing key, pattern and queue, with separators between."""
        return self.prefix + TABLE.format(exchange)

    def _list(self, queue: str, step: int) -> str:
        return f"{self.prefix}{queue}{self.separator}{step}" if step else self.prefix + queue
