"""Find in the in-flight store what is ours from before: a lost link, or a daemon that died.

Messages whose fetch reply was lost with the old link are in flight under our own name and nobody holds
them.  Messages of a predecessor (a dead incarnation of this daemon, proven so by the caller) wait for
nobody either.  The look is repeated once, a while later: a command that the old link had sent may
reach the server after the new link's first look.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from workerd.source.base import Delivery
from workerd.source.redis.calls import Calls
from workerd.source.redis.envelopes import Read, split_entry
from workerd.source.redis.keys import Keys

logger = logging.getLogger(__name__)

PAGE = 500
Found = Callable[[list[Delivery]], object]

_GLOB = re.compile(r"([\\*?\[\]])")


class Recovery:
    """Looks through the store page by page; deliveries come in the order of their fetch."""

    def __init__(self, calls: Calls, keys: Keys, read: Read) -> None:
        self.calls, self.keys, self.read = calls, keys, read

    def pages(self, owner: str, then: Found, end: Callable[[], object] | None = None) -> None:
        """Call ``then`` with each page of what is in flight under ``owner``, as it is at that moment."""
        self._page("0", _GLOB.sub(r"\\\1", owner) + ":*", then, end)

    def all(self, owner: str, then: Found) -> None:
        """Call ``then`` once with all that was in flight under ``owner``; some may have gone meanwhile."""
        found: list[Delivery] = []

        def end() -> None:
            found.sort(key=_order)
            then(found)

        self.pages(owner, found.extend, end)

    def _page(self, cursor: str | bytes, pattern: str, then: Found, end: Callable[[], object] | None) -> None:
        command = ("HSCAN", self.keys.unacked, cursor, "MATCH", pattern, "COUNT", PAGE)
        self.calls.send([command], partial(self._read, pattern, then, end))

    def _read(self, pattern: str, then: Found, end: Callable[[], object] | None, replies: list[Any]) -> None:
        cursor, flat = replies[0]
        entries = dict(zip(flat[::2], flat[1::2], strict=True))
        found = []
        for tag, entry in entries.items():
            try:
                raw, queue = split_entry(entry)
            except ValueError:
                # Nobody but us writes such tags; what somebody has done by hand is theirs to mend.
                logger.error("What is in flight as %r cannot be read: %.200r; left as it is", tag, entry)
            else:
                found.append(self.read(tag.decode(), queue, raw))
        found.sort(key=_order)
        then(found)
        if cursor != b"0":
            self._page(cursor, pattern, then, end)
        elif end is not None:
            end()


def _order(delivery: Delivery) -> tuple[str, int]:
    link, _, number = delivery.tag.rpartition(".")
    return link, int(number)
