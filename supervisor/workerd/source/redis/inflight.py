"""What this node holds in Redis's in-flight store, and the lease that tells others that it lives.

Units: seconds; scores are Unix time.
"""

from __future__ import annotations

from collections.abc import Iterable

from workerd.clock import Clock
from workerd.source.redis.calls import Calls
from workerd.source.redis.keys import Keys
from workerd.source.redis.scripts import CHUNK, RENEW
from workerd.transport.loop import Cancelable, Loop


class InFlight:
    """Tags from their fetch until the broker has confirmed their end; renewed each third of the lease."""

    def __init__(self, calls: Calls, keys: Keys, owner: str, lease: float, clock: Clock) -> None:
        self._calls, self._keys, self._owner = calls, keys, owner
        self._lease, self._clock = lease, clock
        self._tags: set[str] = set()
        self._timer: Cancelable | None = None

    def __len__(self) -> int:
        return len(self._tags)

    def __contains__(self, tag: str) -> bool:
        return tag in self._tags

    @property
    def score(self) -> float:
        """Until when a message taken now is ours without renewal."""
        return self._clock.wall() + self._lease

    def add(self, tags: Iterable[str]) -> None:
        self._tags.update(tags)

    def discard(self, tags: Iterable[str]) -> None:
        self._tags.difference_update(tags)

    def start(self, loop: Loop) -> None:
        self.renew()
        self._timer = loop.call_repeatedly(self._lease / 3, self.renew)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def renew(self) -> None:
        """Push every deadline forward; what others have taken over meanwhile is not made again."""
        keys = [self._keys.unacked, self._keys.index, self._keys.lease(self._owner)]
        times = [str(int(self._lease * 1000)), f"{self.score:.3f}"]
        tags = list(self._tags)
        for start in range(0, len(tags) or 1, CHUNK):
            self._calls.script(RENEW, keys, [*times, *tags[start : start + CHUNK]])
