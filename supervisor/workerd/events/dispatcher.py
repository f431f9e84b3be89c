"""``c.event_dispatcher``: sends events, those of tasks many in one message.

It lives as long as the daemon.  Without a link it keeps the last events of tasks, and drops all others: a
heartbeat of the past says nothing.  What is sent is best effort.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from kombu.exceptions import KombuError

from workerd.broadcast import Notice
from workerd.protocol.event import Event, encoded, group_of, key_of, make_event, utcoffset

if TYPE_CHECKING:
    from workerd.broadcast import Broadcast
    from workerd.clock import LogicalClock

logger = logging.getLogger(__name__)

BATCH = 250
"""Events in one message.  Each message costs the broker and whoever listens 100 us and more."""

MOST_KEPT = 1000
"""Events of tasks that wait for a link."""

TASK, WORKER = "task", "worker"


class EventDispatcher:
    """For the node ``hostname``; ``groups`` are those whose events are sent.

    An event of a group of its own (``billing-closed``) is sent when events of tasks are, or when its group
    was added.  ``on_groups`` is called when a group is added or taken away.
    """

    def __init__(
        self, hostname: str, clock: LogicalClock, *, exchange: str = "celeryev", serializer: str = "json"
    ) -> None:
        self.hostname, self.clock = hostname, clock
        self._groups = {WORKER}
        self.on_groups: Callable[[], object] | None = None
        self.on_enabled: set[Callable[[], object]] = set()
        self.on_disabled: set[Callable[[], object]] = set()
        """Called when a link has come, and before it goes."""
        self._exchange, self._serializer = exchange, serializer
        self._headers = {"hostname": hostname}
        self._pid, self._utcoffset = os.getpid(), utcoffset()
        self._buffer: deque[Any] = deque(maxlen=MOST_KEPT)
        self._broadcast: Broadcast | None = None
        self._call_soon: Callable[[Callable[[], object]], object] | None = None
        self._asked = False

    @property
    def enabled(self) -> bool:
        """There is a link over which to send."""
        return self._broadcast is not None

    @property
    def groups(self) -> frozenset[str]:
        """Those whose events are sent."""
        return frozenset(self._groups)

    def add_group(self, group: str) -> bool:
        """Send its events, too; False if that is so already."""
        return group not in self._groups and self._change(self._groups | {group})

    def discard_group(self, group: str) -> bool:
        """Send its events no more; False if that is so already."""
        return group in self._groups and self._change(self._groups - {group})

    def _change(self, groups: set[str]) -> bool:
        self._groups = groups
        if self.on_groups is not None:
            self.on_groups()
        return True

    def enable(self, broadcast: Broadcast, call_soon: Callable[[Callable[[], object]], object]) -> None:
        """Send over ``broadcast`` from now on, also what was kept."""
        self._broadcast, self._call_soon, self._asked = broadcast, call_soon, False
        self.flush()
        for callback in list(self.on_enabled):
            callback()

    def disable(self) -> None:
        """The link goes."""
        if self._broadcast is None:
            return
        for callback in list(self.on_disabled):
            callback()
        self.flush()
        self._broadcast = self._call_soon = None

    def wants(self, group: str) -> bool:
        """Events of this group are sent."""
        return group in self._groups or (TASK in self._groups and group != WORKER)

    def send(self, type: str, blind: bool = False, **fields: Any) -> None:  # noqa: A002 (Celery's name)
        """Send an event of ``type`` with these fields, if its group is wanted; ``blind`` without a clock."""
        self.tell(type, fields, blind=blind)

    def tell(self, kind: str, fields: dict[str, Any], *, blind: bool = False) -> None:
        """As ``send``, for fields of any name."""
        group = group_of(kind)
        if not self.wants(group):
            return
        event = make_event(kind, self.hostname, None if blind else self.clock.forward(), fields)
        if group == TASK:
            self.collect(event)
        elif self._broadcast is not None:
            self._publish(key_of(kind), event)

    def note(self, kind: type[Any], uuid: str, *fields: Any) -> None:
        """As ``collect``, for an event of the task ``uuid`` that happens now; ``kind`` makes it of hostname,
        utcoffset, pid, clock, timestamp, uuid and ``fields``."""
        # A busy node does this thirty thousand times a second: no calls that can be spared.
        clock = self.clock
        clock.value += 1
        self._buffer.append(
            kind(self.hostname, self._utcoffset, self._pid, clock.value, time.time(), uuid, *fields)
        )
        if not self._asked or len(self._buffer) >= BATCH:
            self._flush_soon()

    def collect(self, event: Any) -> None:
        """Send this event of a task, a mapping or a struct, with those of the same turn of the loop."""
        self._buffer.append(event)
        self._flush_soon()

    def _flush_soon(self) -> None:
        """When the turn of the loop ends, or now if there are as many as go into one message."""
        if self._call_soon is None:
            return
        if len(self._buffer) >= BATCH:
            self._send_batch()
        elif not self._asked:
            self._asked = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Send what is collected."""
        self._asked = False
        if self._broadcast is None:
            return
        self._utcoffset = utcoffset()  # twice a year it is another one
        while self._buffer:
            self._send_batch()

    def _send_batch(self) -> None:
        batch = list(islice(self._buffer, BATCH))
        if len(batch) == len(self._buffer):
            self._buffer.clear()
        else:
            for _ in batch:
                self._buffer.popleft()
        self._publish("task.multi", batch)

    def _publish(self, key: str, events: Event | list[Any]) -> None:
        assert self._broadcast is not None
        try:
            content_type, encoding, body = encoded(events, self._serializer)
        except (KombuError, TypeError, ValueError) as exc:
            logger.error("An event cannot be written as %s: %s", self._serializer, exc)
            return
        self._broadcast.tell(Notice(self._exchange, key, body, self._headers, content_type, encoding))
