"""Publish copies of messages to other queues and tell when the broker has them for good.

The publisher has a connection of its own: RabbitMQ stops reading from connections that publish when it is
short of memory or disk, and acknowledgements must not wait behind that.  It is opened with the first
message, once the broker has answered over the link that there is, and tried again by timers.  A message that
was not confirmed is published again; one whose queue the broker refuses holds up no others.

Units:  seconds.
"""

from __future__ import annotations

import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from amqp import spec
from amqp.basic_message import Message
from amqp.exceptions import ChannelError

from workerd.source.amqp.link import LINK_ERRORS, AmqpLink
from workerd.source.amqp.outgoing import Copy, Declare, Route
from workerd.source.apart import Apart
from workerd.transport.amqp_patience import be_patient
from workerd.transport.loop import Cancelable, Loop

if TYPE_CHECKING:
    from kombu.connection import Connection

logger = logging.getLogger(__name__)

WINDOW, WINDOW_BYTES = 500, 64 * 1024
"""Copies that are sent and not confirmed, and their bytes if not told otherwise.

With more than the sockets hold, a slow broker leaves us in the middle of a write.
"""

FIRST_DELAY = 0.25
LONGEST_DELAY = 4.0
TOLD = 4
"""Failures in a row that are told: a broker that goes away is told by the link that consumes."""


class Publisher:
    """Confirmed publishing over a second connection to the broker of ``connection``.

    ``pulse`` calls what it is given once the broker has answered something, or never if it is gone;
    ``what`` is published, for the log; ``window`` bytes of it may be sent and not confirmed.
    """

    def __init__(
        self,
        connection: Connection,
        loop: Loop,
        pulse: Callable[[Callable[[], None]], None],
        what: str = "Messages that leave for another queue",
        window: int = WINDOW_BYTES,
    ) -> None:
        self._broker: Any = connection  # kombu's own types are incomplete
        self._what, self._window = what, window
        self._loop, self._pulse = loop, pulse
        self._waiting: deque[Copy] = deque()
        self._apart = Apart(loop, self._try_refused)
        self._unconfirmed: dict[int, Copy] = {}  # by the number of the publish on its channel
        self._declared: set[str] = set()
        self._connection: Any = None
        self._link: AmqpLink | None = None
        self._channel: Any = None
        self._published = self._failures = 0
        self._asked = self._blocked = self._closed = self._feeling = False
        self._retry: Cancelable | None = None
        self._told = False  # that nothing can be published
        self.problem = ""
        """By what the link was lost; empty since something was confirmed."""

    def publish(
        self,
        queue: str,
        declare: Declare,
        message: Message,
        then: Callable[[], object],
        route: Route | None = None,
    ) -> None:
        """Publish to ``queue``; ``then`` is called once the broker has confirmed it."""
        self._waiting.append(Copy(queue, declare, message, then, route))
        self._ask()

    def flush(self) -> None:
        """Send now what would be sent in the next turn, if there is a connection."""
        if self._link is not None and not self._closed:
            self._send_all()

    def close(self, *, lost: bool = False) -> None:
        """Leave; what is not confirmed stays where it came from.  ``lost``: do not wait for a last word."""
        self._closed = True
        self._apart.stop()
        if self._retry is not None:
            self._retry.cancel()
        if self._link is not None:
            self._link.stop()
            with suppress(*LINK_ERRORS):
                self._connection.collect() if lost else self._connection.release()

    # -- publishing ----------------------------------------------------------------------------

    def _ask(self) -> None:
        if not self._asked and self._retry is None:
            self._asked = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._asked, self._retry = False, None
        if self._closed or self._blocked or not self._waiting:
            return
        if self._link is not None:
            self._send_all()
        elif not self._feeling:
            self._feeling = True
            self._pulse(self._answered)

    def _answered(self) -> None:
        """The broker has: to connect is not to wait for one that is frozen."""
        self._feeling = False
        if self._closed or self._link is not None:
            return
        try:
            self._connect()
        except LINK_ERRORS as exc:
            self._lost(str(exc) or repr(exc))
        else:
            self._send_all()

    def _send_all(self) -> None:
        assert self._link is not None
        with self._link.guarded():
            while self._waiting and not self._blocked and self._has_room():
                if self._declare(self._waiting[0]):
                    self._send(self._waiting.popleft())

    def _has_room(self) -> bool:
        flying = self._unconfirmed.values()
        return len(flying) < WINDOW and sum(len(copy.message.body) for copy in flying) < self._window

    def _declare(self, copy: Copy) -> bool:
        """False when the broker refuses the queue: all that is for it waits apart."""
        if copy.route is not None or copy.queue in self._declared:
            return True
        try:
            copy.declare(self._connection, copy.queue)
        except ChannelError as exc:  # it has closed the channel of this question alone
            self._set_apart(copy.queue, str(exc))
            return False
        self._declared.add(copy.queue)
        return True

    def _set_apart(self, queue: str, reason: str) -> None:
        theirs = [copy for copy in self._waiting if copy.is_for(queue)]
        self._waiting = deque(copy for copy in self._waiting if not copy.is_for(queue))
        self._apart.put(queue, theirs, reason)

    def _try_refused(self, copies: list[Copy]) -> None:
        self._waiting.extend(copies)
        self._ask()

    def _send(self, copy: Copy) -> None:
        copy.returned = False
        self._published += 1
        self._unconfirmed[self._published] = copy
        # Not basic_publish: it looks for broker messages first, and waits when one is incomplete.
        where = (0, *copy.where, copy.mandatory, False)
        self._channel.send_method(spec.Basic.Publish, "Bssbb", where, copy.message)

    def _confirmed(self, number: int, multiple: bool) -> None:
        for copy in self._take(number, multiple):
            if copy.returned:
                self._again([copy])
            else:
                self._taken(copy)
                copy.then()
        if self._waiting:
            self._ask()

    def _taken(self, copy: Copy) -> None:
        self._failures, self.problem = 0, ""
        if copy.route is None:
            self._apart.taken(copy.queue)
        if self._told:
            self._told = False
            logger.info("%s are published again", self._what)

    def _refused(self, number: int, multiple: bool) -> None:
        for copy in self._take(number, multiple):
            if copy.route is None:
                self._apart.put(
                    copy.queue, [copy], "the broker refuses it, as it does when the queue is full"
                )
            else:
                self._again([copy])

    def _returned(self, _error: Exception, exchange: str, key: str, _message: Any) -> None:
        self._declared.discard(key)
        for copy in self._unconfirmed.values():
            copy.returned = copy.returned or copy.where == (exchange, key)

    def _again(self, copies: Iterable[Copy]) -> None:
        for copy in copies:
            if copy.route is None:
                self._waiting.append(copy)
            else:
                self._loop.call_soon(copy.route.refused)

    def _take(self, number: int, multiple: bool) -> list[Copy]:
        numbers = [n for n in self._unconfirmed if n <= number] if multiple else [number]
        return [self._unconfirmed.pop(n) for n in numbers if n in self._unconfirmed]

    # -- the connection ------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connection = self._broker.clone()
        # Not connect(): that sleeps 2 s in between two attempts of its own.
        self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        raw = self._connection.connection
        be_patient(raw)  # heartbeats tell of a broker that is gone
        if (
            raw.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 2 * self._window
        ):  # half is for the kernel
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._window)
        raw.on_blocked, raw.on_unblocked = self._block, self._unblock
        # First of all: it bounds how long what follows may wait for a broker that has gone silent.
        self._link = AmqpLink(raw, self._loop, self._lost)
        self._link.start()
        self._channel = self._connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._confirmed)
        self._channel.events["basic_nack"].add(self._refused)
        self._channel.events["basic_return"].add(self._returned)

    def _lost(self, reason: str) -> None:
        self.problem = reason
        self._hang_up()
        copies = [*self._unconfirmed.values(), *self._waiting]
        self._unconfirmed.clear()
        self._waiting.clear()
        self._again(copies)
        self._declared.clear()
        self._published, self._blocked = 0, False
        self._try_later()
        if self._failures == TOLD:
            self._told = True
            logger.error("%s wait: %s; trying again", self._what, reason)

    def _try_later(self) -> None:
        if self._retry is None and not self._closed:
            self._failures += 1
            longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures, 10))
            self._retry = self._loop.call_later(random.uniform(longest / 2, longest), self._work)

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.stop()
            self._link = None
        if self._connection is not None:
            self._connection.collect()

    def _block(self, _reason: str) -> None:
        self._blocked = True

    def _unblock(self) -> None:
        self._blocked = False
        self._ask()
