"""Handler: records on their way to a ``LogStream``, and a way past ``logging`` for tasks that went well.

A task that went well is told in one line.  At ten thousand of them a second logging would be a third of what
the supervisor does: a record, its way through two loggers, its format and a write take 14 us, the line alone
2 us.  So where nobody but this handler hears of tasks, it is given the line, and writes all lines of a turn
of the loop at once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from workerd.worker.log.harmless import harmless
from workerd.worker.log.logstream import LogStream
from workerd.worker.log.storms import Storms
from workerd.worker.log.text import TextFormatter

if TYPE_CHECKING:
    from workerd.worker.log.json_lines import JsonLines, Place
    from workerd.worker.loop.hub import Hub

TASKS = "workerd.task"
"""The logger that tells of each task."""


MOST = 50
"""Records of a kind in one second."""


class Handler(logging.StreamHandler[LogStream]):
    """Writes each record at once, unless it is one of a storm (``storms``)."""

    def __init__(
        self, stream: LogStream, formatter: TextFormatter | JsonLines | None = None, limit: int = MOST
    ) -> None:
        super().__init__(stream)
        self._usual = formatter or TextFormatter()
        self._text = self._usual if isinstance(self._usual, TextFormatter) else None
        self.setFormatter(self._usual)
        self.storms = Storms(limit, exempt=TASKS)
        stream.told = self._told
        stream.told_dropped = self._usual.dropped
        self._alone = False
        self._attached = False
        self._looked = False  # in this turn of the loop, whether it is alone

    @property
    def coloured(self) -> bool:
        """What is written has colours."""
        return self._text is not None and self._text.coloured

    def emit(self, record: logging.LogRecord) -> None:
        if self.storms.lets_pass(record):
            super().emit(record)

    def tell_storms(self, now: float) -> None:
        """Write how much of the storms was left out that are over by ``now``."""
        if self.lock is not None:
            with self.lock:
                for record in self.storms.over(now):
                    super().emit(record)

    def told_where(self, place: Place) -> None:
        """``place`` knows which child has which slot."""
        if not isinstance(self._usual, TextFormatter):
            self._usual.place = place

    def attach(self, hub: Hub, hold: Callable[[bool], None]) -> None:
        """The loop runs: see ``LogStream.attach``."""
        self.stream.attach(hub, hold)
        self._attached = True
        hub.on_tick.add(self.look_around)

    def detach(self, hub: Hub) -> None:
        """The loop ends.  May be called twice."""
        hub.on_tick.discard(self.look_around)
        self._attached = self._alone = self._looked = False
        self.stream.detach()

    def look_around(self) -> None:
        """An app may add a handler, a filter or a format of its own at any time: seen in the next turn."""
        self._looked = False
        if self.storms.until < math.inf:
            self.tell_storms(time.time())

    def say(self, text: str) -> bool:
        """Log this line of TASKS at INFO; False when it must go through logging, as somebody else hears."""
        if not self._looked:
            self._look()
        usual = self._text
        if not self._alone or usual is None or self.lock is None:
            return False
        if not text.isprintable():
            text = harmless(text)
        with self.lock:
            self.stream.write(f"{usual.lead}[{usual.moment(time.time())}: INFO/MainProcess] {text}\n")
            self.stream.flush_later()
        return True

    def _look(self) -> None:
        logger: logging.Logger = logging.getLogger(TASKS)
        self._looked = self._attached
        self._alone = (
            self._attached
            and self._text is not None
            and logger.isEnabledFor(logging.INFO)
            and self._hears(logger)
        )

    def _hears(self, logger: logging.Logger) -> bool:
        """True when what ``logger`` is told comes to this handler as it is, and to no other."""
        while logger.parent is not None:
            if logger.handlers or logger.filters or not logger.propagate:
                return False
            logger = logger.parent
        mine = self.formatter is self._usual and not self.filters and self.level <= logging.INFO
        return mine and logger.handlers == [self]

    def _told(self, text: str) -> str:
        """A line of the log's own."""
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, (), None)
        return f"{self.format(record)}\n"
