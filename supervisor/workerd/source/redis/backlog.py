"""Backlog: how many messages wait in the lists of queues."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from workerd.source.base import Counted
from workerd.source.redis.calls import Calls
from workerd.source.redis.keys import Keys


def ask_backlog(calls: Calls, keys: Keys, queues: Sequence[str], then: Counted) -> None:
    """Call ``then`` with the count of each queue that can be read."""
    lists = [(queue, name) for queue in queues for name in keys.lists(queue)]
    calls.attempt(
        [("LLEN", name) for _, name in lists], partial(_added_up, [queue for queue, _ in lists], then)
    )


def _added_up(queues: list[str], then: Counted, lengths: list[Any]) -> None:
    """Lists that cannot be read are the fetch's to tell of; here their queue is left out."""
    counts = dict.fromkeys(queues, 0)
    for queue, length in zip(queues, lengths, strict=True):
        if not isinstance(length, int):
            counts.pop(queue, None)
        elif queue in counts:
            counts[queue] += length
    then(counts)
