"""StopTime: one end for a whole stop, fixed when it begins and handed down to its parts.

What the operator sets (``drain.timeout``, then ``drain.grace``) is followed by ``ROOM`` for all the rest: the
death of the children, what the broker is told last, the ends of links and servers.  Each part may take what
is left, less what the parts after it need at the least, so that no silence of one adds to another's.

Units: seconds of the monotonic clock.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd.clock import Clock

ROOM = 1.8
"""Of the two seconds that a stop may take longer than its settings say; the rest is for the interpreter."""

LEAST = 0.25
"""What each part has also when the loop was held up: work that is given back shall not run any more."""


class Part(Enum):
    """The parts of an end, in their order; the value is what is kept for those after it."""

    CHILDREN = 1.5
    SETTLEMENTS = 1.1
    LINK = 0.8
    ANSWERS = 0.55
    POOL = 0.3
    SERVER = 0.05


class StopTime:
    """Endless until a stop begins; a later call can only bring the end nearer."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._end = clock, math.inf

    def ends_within(self, seconds: float) -> None:
        """The tasks have so many seconds more, with their grace period; ``ROOM`` comes on top."""
        self._end = min(self._end, self._clock.now() + seconds + ROOM)

    def left(self, most: float, part: Part) -> float:
        """The seconds that this part may take, ``most`` of them."""
        return min(most, max(LEAST, self._end - self._clock.now() - part.value))
