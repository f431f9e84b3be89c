"""Greeting: what a node asks of all others when its link is up, and what it takes from their answers.

Each tells the ids that it has revoked and its logical clock.  Nobody is waited for: answers are taken as
they come.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

import msgspec
from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.broadcast import Exchange, Heard, Notice, Station
from workerd.clock import Clock
from workerd.control.remote.node import Node
from workerd.control.remote.pidbox import Manner
from workerd.control.remote.policy import Policy
from workerd.protocol.serial import dump
from workerd.protocol.signing import HEADER, signature

logger = logging.getLogger(__name__)


class Told(msgspec.Struct):
    """What one node answers."""

    clock: int | None = None
    revoked: list[Any] | dict[str, Any] | None = None


class Greeting:
    """One question; ``answered`` are the nodes that have answered it."""

    def __init__(self, node: Node, policy: Policy, manner: Manner, clock: Clock) -> None:
        self._node, self._policy, self._manner, self._clock = node, policy, manner, clock
        self._ticket, self._key = str(uuid.uuid4()), str(uuid.uuid4())
        self.answered: list[str] = []

    def station(self, expires: float) -> Station:
        """Where answers are heard."""
        exchange = Exchange(self._manner.reply_exchange, "direct")
        return Station(exchange, f"{self._key}.{exchange.name}", self._key, expires=expires)

    def notice(self, timeout: float) -> Notice:
        """The question; answers are wanted within ``timeout`` seconds."""
        body = {
            "method": "hello",
            "arguments": {"from_node": self._node.hostname, "revoked": self._node.revoked()},
            "destination": None,
            "pattern": None,
            "matcher": None,
            "ticket": self._ticket,
            "reply_to": {"exchange": self._manner.reply_exchange, "routing_key": self._key},
        }
        content_type, encoding, data = dump(body, self._manner.serializer)
        now = self._clock.wall()
        headers: dict[str, Any] = {"clock": self._node.clock.forward(), "expires": now + timeout}
        if self._manner.key:
            headers[HEADER] = signature(self._manner.key, data, now)
        return Notice(self._manner.exchange, "", data, headers, content_type, encoding, delivery_mode=2)

    def heard(self, heard: Heard) -> None:
        """An answer has come."""
        if heard.headers.get("ticket") != self._ticket:
            return
        try:
            answers = msgspec.convert(heard.value(self._manner.accept), dict[str, Told | None])
        except (msgspec.ValidationError, DecodeError, ContentDisallowed, ValueError) as exc:
            logger.info("mingle: an answer cannot be read: %s", exc)
            return
        trusted = self._policy.trusts(heard.headers, heard.body)
        for name, told in answers.items():
            if name != self._node.hostname and told is not None:
                self._take(name, told, trusted)

    def _take(self, name: str, told: Told, trusted: bool) -> None:
        self.answered.append(name)
        self._node.clock.adjust(told.clock)
        if told.revoked and trusted:
            self._node.merge_revoked([str(task_id) for task_id in told.revoked])
