"""Tells in the log what was refused, and to whom.

Monitors ask for the same again and again and wait for no answer: Flower wants events each five seconds.  What
comes from nobody in particular is therefore told once in a while, with how often it came since.

Units:  seconds of the monotonic clock.
"""

from __future__ import annotations

import logging
from collections import Counter

from workerd.clock import Clock

logger = logging.getLogger(__name__)

PAUSE = 600.0
"""Between two lines about the same command, asked for by nobody in particular."""

NOBODY = "somebody who waits for no answer"


class Refusals:
    """Those of one node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def tell(self, command: str, sender: str, why: str) -> None:
        """``command`` is the name of one that exists, so that no stranger makes this grow; ``sender`` may
        be empty."""
        if sender:
            logger.warning("Remote control: %s from %s refused: %s", command, sender, why)
            return
        now = self._clock.now()
        if now - self._told.get(command, -PAUSE) < PAUSE:
            self._untold[command] += 1
            return
        self._told[command] = now
        more = self._untold.pop(command, 0)
        before = f" ({more} times more since it was told last)" if more else ""
        logger.warning("Remote control: %s from %s refused: %s%s", command, NOBODY, why, before)
