"""Which of the broker's URLs is tried next.

The list is gone through in its order, again and again.  After a loss the URL that has served is tried first,
because most losses are short and what is in flight is there; one failed attempt moves on to the next.  A link
that is up is never given up because an earlier URL works again: where all of them are doors to the same
data, that would be a loss for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


class Brokers:
    """The URLs of one daemon, in the order in which they are tried."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls, self._place = tuple(urls), 0

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def url(self) -> str:
        """The one that serves, or that is tried next."""
        return self._urls[self._place]

    def failed(self) -> None:
        """An attempt at ``url`` has failed."""
        self._place = (self._place + 1) % len(self._urls)
