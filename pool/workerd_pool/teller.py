"""Teller: takes the lines that processes have printed to the host, so many in a turn of the loop.

Telling a line costs the host more than reading it, so the bound is one of lines: a task that
prints millions of short ones slows itself down and delays nobody.  Processes with lines to tell
take turns.  While the host holds the output, nothing is told and nothing is read.
"""

from __future__ import annotations

from collections import OrderedDict

from workerd_pool.contract import Listener, Loop
from workerd_pool.log import tell
from workerd_pool.outlet import Outlet

LINES = 200
"""Told in one turn of the loop: about 4 ms of logging."""
SHARE = 50
"""Of one process before the next one has its turn."""
MOST_LEFT = 64
"""Dead processes whose pipes are read on, for those whom they have left behind."""


class Teller:
    """One for a pool."""

    def __init__(self, loop: Loop, listener: Listener) -> None:
        self.loop, self._listener = loop, listener
        self.held = False
        self._room = LINES
        self._outlets: set[Outlet] = set()
        self._waiting: OrderedDict[Outlet, None] = OrderedDict()  # who is next comes first
        self._left: OrderedDict[Outlet, None] = OrderedDict()  # the oldest first
        self._telling = self._turn_asked = False

    def open(self) -> Outlet:
        """An outlet for a new process.  Raises OSError."""
        outlet = Outlet(self)
        self._outlets.add(outlet)
        return outlet

    def forget(self, outlet: Outlet) -> None:
        """It is closed."""
        self._outlets.discard(outlet)
        self._left.pop(outlet, None)

    def tell(self, outlet: Outlet) -> None:
        """Tell its lines, as far as there is room in this turn; the rest follows."""
        if outlet.waiting:
            self._waiting[outlet] = None
            self._tell()

    def leave(self, outlet: Outlet) -> None:
        """Its process is dead: read on while others have its pipes, and close it when they have not."""
        self._left[outlet] = None
        self.tell(outlet)
        if not outlet.open:
            outlet.close()
        elif len(self._left) > MOST_LEFT:
            next(iter(self._left)).close()

    def hold(self, held: bool) -> None:
        """Stop telling and reading, or go on."""
        self.held = held
        for outlet in list(self._outlets):
            outlet.update()
        self._tell()

    def close(self) -> None:
        """No process is left: tell what there is, unless that is held, and read no more."""
        for outlet in list(self._outlets):
            outlet.close()
        while self._waiting and not self.held:
            self._room = LINES
            self._tell()
        self._waiting.clear()

    def _tell(self) -> None:
        if self._telling:
            # The host was told a line and did something that brings more: after this one.
            return
        self._telling = True
        try:
            while self._waiting and self._room > 0 and not self.held:
                self._tell_share(next(iter(self._waiting)))
        finally:
            self._telling = False
        if self._room < LINES and not self._turn_asked:
            self._turn_asked = True
            self.loop.call_soon(self._turn)

    def _tell_share(self, outlet: Outlet) -> None:
        lines = outlet.take(min(SHARE, self._room))
        self._room -= len(lines)
        for line in lines:
            tell(self._listener.on_output, line)
        if lines and outlet.waiting:
            self._waiting.move_to_end(outlet)
        else:
            self._waiting.pop(outlet, None)
            outlet.told()

    def _turn(self) -> None:
        self._turn_asked, self._room = False, LINES
        self._tell()
