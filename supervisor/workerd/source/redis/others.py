"""Others: what is in flight for nodes that have died, workerd's and Celery's, on one link."""

from __future__ import annotations

from workerd.clock import Clock
from workerd.source.owner import Owner
from workerd.source.redis.abandoned import Abandoned
from workerd.source.redis.chores import Chores
from workerd.source.redis.orphans import Orphans
from workerd.source.redis.recovery import Recovery
from workerd.source.redis.returns import Returns
from workerd.source.redis.watch import Watch


class Others:
    """``visibility`` is how long Celery's workers may hold a message, in seconds."""

    def __init__(
        self, recovery: Recovery, returns: Returns, owner: Owner, clock: Clock, visibility: float
    ) -> None:
        self.orphans = Orphans(recovery, returns, self._given_back)
        self.watch = Watch(recovery.calls, recovery.keys, owner, clock, self.orphans.inherit)
        self.abandoned = Abandoned(recovery, returns, clock, visibility)

    def start(self, chores: Chores) -> None:
        self.watch.start(chores)
        self.abandoned.start(chores)

    def _given_back(self, owner: str, lives: bool) -> None:
        # Should a message of it still be there, its tag names it again.
        self.watch.forget(owner, gone=not lives)
