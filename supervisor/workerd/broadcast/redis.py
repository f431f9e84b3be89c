"""``RedisBroadcast``: PUBLISH and PSUBSCRIBE where kombu has them, over two links of their own.

One link listens and one tells, so that neither waits for the other; each is opened in the loop when it is
first wanted, and again by itself.  Answers go to the list of the one who waits, and expire there.

Units:  seconds.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from workerd.broadcast.base import MOST_WAITING, Exchange, Notice, OnHeard, Station
from workerd.broadcast.letter_box import LetterBox, Send
from workerd.broadcast.line import Line, SubscriberLink
from workerd.broadcast.topics import Topics, envelope_of, heard_of
from workerd.protocol.envelope import MalformedError
from workerd.source.redis.keys import Keys
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import Command, RedisLink, ReplyError, error_in

logger = logging.getLogger(__name__)

ANSWER_EXPIRES = 10.0
"""How long an answer waits for the one who asked; Celery's own clients keep theirs as long."""

KEPT = 3600.0
"""How long what was told to a fanout exchange waits in the queue of a node, after the last that came."""

AGAIN = 30.0
"""Between two tries to listen where the server refuses that."""


class RedisBroadcast:
    """A ``Broadcast`` on the server at ``address``; ``options`` are kombu's transport options."""

    def __init__(self, address: RedisAddress, options: Mapping[str, Any], loop: Loop) -> None:
        self.dropped = 0
        self._loop = loop
        self._topics, self._keys = Topics.of_options(options, address.db), Keys.of_options(options)
        self._listeners: dict[str, list[OnHeard]] = {}  # by pattern
        self._kept: dict[str, list[str]] = {}  # queues by pattern
        self._waiting: deque[Send] = deque()
        self._flying = 0
        self._told: set[str] = set()  # refusals
        self._retry: Cancelable | None = None
        self._ear = Line(loop, address, self._subscribe, SubscriberLink, self._pushed)
        self._mouth = Line(loop, address, self._opened)

    @property
    def hears(self) -> bool:
        return self._ear.link is not None

    def declare(self, exchange: Exchange) -> None:
        """Nothing: there are no exchanges here."""

    # -- listening -------------------------------------------------------------------------------

    def listen(self, station: Station, on_heard: OnHeard) -> Callable[[], None]:
        if station.exchange.kind == "direct":
            box = LetterBox(self._keys, station, on_heard, self._loop, self._send)
            box.open()
            return box.close
        pattern = self._topics.pattern(station.exchange.name, station.key)
        self._listeners.setdefault(pattern, []).append(on_heard)
        if self._ear.link is None:
            self._ear.want()
        else:
            self._subscribe(self._ear.link)
        return partial(self._ignore, pattern, on_heard)

    def keep(self, exchange: str, queue: str) -> bool:
        for key in ("", "*"):  # every routing key, as a fanout exchange means it
            queues = self._kept.setdefault(self._topics.pattern(exchange, key), [])
            if queue not in queues:
                queues.append(queue)
        if self._ear.link is None:
            self._ear.want()
        else:
            self._subscribe(self._ear.link)
        return True

    def _put_by(self, queue: str, raw: bytes) -> None:
        """From here on it is an ordinary message; the list goes if nobody is left to consume it."""
        key = self._keys.list_for(queue, 0)
        self._waiting.append(
            lambda link: self._fly(link, [("LPUSH", key, raw), ("PEXPIRE", key, int(KEPT * 1000))])
        )
        if self._mouth.link is not None:
            self._speak(self._mouth.link)
        else:
            self._mouth.want()

    def _ignore(self, pattern: str, on_heard: OnHeard) -> None:
        # The server goes on with it: nobody stops to listen before the link ends.
        listeners = self._listeners.get(pattern, [])
        if on_heard in listeners:
            listeners.remove(on_heard)

    def _subscribe(self, link: RedisLink) -> None:
        commands: list[Command] = [("PSUBSCRIBE", pattern) for pattern in {*self._listeners, *self._kept}]
        link.send(commands, self._subscribed)

    def _subscribed(self, replies: list[Any]) -> None:
        if self._refused("hear other nodes", replies) and self._retry is None:
            self._retry = self._loop.call_later(AGAIN, self._subscribe_again)

    def _subscribe_again(self) -> None:
        self._retry = None
        if self._ear.link is not None:
            self._subscribe(self._ear.link)

    def _pushed(self, push: Sequence[Any]) -> None:
        _, pattern, _, raw = push
        if (queues := self._kept.get(pattern.decode(errors="replace"))) is not None:
            for queue in queues:
                self._put_by(queue, raw)
        if pattern.decode(errors="replace") not in self._listeners:
            return
        try:
            heard = heard_of(raw)
        except MalformedError as exc:
            logger.info("Heard something that cannot be read: %s", exc)
            return
        for on_heard in self._listeners.get(pattern.decode(errors="replace"), ()):
            # In a turn of its own, so that what one raises is told by its name and holds up no other.
            self._loop.call_soon(on_heard, heard)

    # -- telling ---------------------------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        self._send(partial(self._publish, notice))

    def answer(self, notice: Notice) -> None:
        self._send(partial(self._look_up, notice))

    def _send(self, send: Send) -> None:
        if len(self._waiting) + self._flying >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(send)
        if self._mouth.link is not None:
            self._speak(self._mouth.link)
        else:
            self._mouth.want()

    def _opened(self, link: RedisLink) -> None:
        self._flying = 0  # what was on its way over the link before went with it
        self._speak(link)

    def _speak(self, link: RedisLink) -> None:
        with link.together():
            while self._waiting:
                self._waiting.popleft()(link)

    def _publish(self, notice: Notice, link: RedisLink) -> None:
        channel = self._topics.channel(notice.exchange, notice.key)
        self._fly(link, [("PUBLISH", channel, envelope_of(notice))])

    def _look_up(self, notice: Notice, link: RedisLink) -> None:
        """Find the lists behind a direct exchange, and put the answer there."""
        table = self._keys.table(notice.exchange)
        self._flying += 1
        link.send([("SMEMBERS", table)], partial(self._put, notice, link))

    def _put(self, notice: Notice, link: RedisLink, replies: list[Any]) -> None:
        self._flying -= 1
        [members] = replies
        if self._refused("answer", replies):
            return
        bindings = [member.decode(errors="replace").split(self._keys.separator) for member in members]
        queues = {binding[-1] for binding in bindings if binding[0] == notice.key}
        for queue in queues:
            key = self._keys.list_for(queue, 0)
            expires = int(ANSWER_EXPIRES * 1000)
            self._fly(link, [("LPUSH", key, envelope_of(notice)), ("PEXPIRE", key, expires)])

    def _fly(self, link: RedisLink, commands: list[Command]) -> None:
        self._flying += 1
        link.send(commands, self._landed)

    def _landed(self, replies: list[Any]) -> None:
        self._flying -= 1
        self._refused("tell other nodes", replies)

    def _refused(self, what: str, replies: list[Any]) -> bool:
        """True when the server has refused; each refusal is told once."""
        error: ReplyError | None = error_in(replies)
        if error is not None and what not in self._told:
            self._told.add(what)
            logger.warning("Redis does not let this node %s: %s", what, error)
        elif error is None:
            self._told.discard(what)
        return error is not None

    def close(self, *, lost: bool = False) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._ear.close()
        self._mouth.close()
