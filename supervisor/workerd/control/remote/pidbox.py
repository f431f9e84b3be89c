"""Pidbox: requests that come over the broker, and the answers to them.

A request is for us when it names this node, or a pattern that our name matches, or nobody.  It is answered
when it says where to; what cannot be read is told in the log and goes no further.  Whatever comes in, nothing
is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from kombu import matcher as _matcher
from kombu.exceptions import KombuError

from workerd.broadcast import Heard, Notice
from workerd.clock import Clock
from workerd.control.daemon import Daemon, Fact
from workerd.control.registry import Call, Door, Registry, Reply
from workerd.control.remote.policy import Policy
from workerd.control.remote.refusals import NOBODY, Refusals
from workerd.errors import ExitCode, WorkerdError
from workerd.protocol.serial import dump
from workerd.protocol.signing import HEADER, signature

logger = logging.getLogger(__name__)

_match: Any = _matcher.match  # its own types say bytes


class Where(msgspec.Struct):
    """Where an answer goes."""

    exchange: str
    routing_key: str


class Asked(msgspec.Struct):
    """The body of a request."""

    method: str
    arguments: dict[str, Any] | None = None
    destination: list[str] | str | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: Where | None = None

    def sender(self, heard: Heard) -> str:
        """Who asks, as far as they say: Celery's clients tell no more than where they wait for the answer.

        Empty when nobody does.
        """
        return str(heard.headers.get("origin") or (self.reply_to and self.reply_to.routing_key) or "")

    def is_for(self, hostname: str) -> bool:
        """Errors: ValueError and re.error for a pattern that is none."""
        if self.destination:
            named = self.destination if isinstance(self.destination, list) else [self.destination]
            return hostname in named
        if self.pattern and self.matcher:
            return bool(_match(hostname, self.pattern, self.matcher))
        return True


class BrokerReply(Reply):
    """The answer to one request; only its first word counts."""

    def __init__(self, send: Callable[[Any], object]) -> None:
        self._send: Callable[[Any], object] | None = send

    def event(self, fact: Fact) -> None:
        """Nobody reads streams here."""

    def answer(self, value: Any) -> None:
        send, self._send = self._send, None
        if send is not None:
            send(value)

    def fail(self, error: WorkerdError, traceback: str = "") -> None:
        bug = error.exit_code is ExitCode.BUG and error.__cause__ is not None
        self.answer({"error": repr(error.__cause__) if bug else str(error)})

    def on_end(self, callback: Callable[[], object]) -> None:
        """An answer that comes is the end; nobody watches for one that does not."""


class Manner(msgspec.Struct, frozen=True):
    """How requests are read and answers written.

    ``exchange`` is the one through which all are asked, ``reply_exchange`` that behind which those who ask
    wait; answers are sent nowhere else."""

    exchange: str
    reply_exchange: str
    serializer: str
    accept: tuple[str, ...]
    key: str = ""


class Pidbox:
    """The requests to one node; ``answer`` sends, while there is a link."""

    def __init__(
        self, registry: Registry, daemon: Daemon, policy: Policy, manner: Manner, clock: Clock
    ) -> None:
        self._registry, self._daemon, self._policy = registry, daemon, policy
        self._manner, self._clock, self._refusals = manner, clock, Refusals(clock)
        self.answer: Callable[[Notice], object] | None = None

    def heard(self, heard: Heard) -> None:
        """Take one message."""
        try:
            asked = msgspec.convert(heard.value(self._manner.accept), Asked, strict=False)
            ours = asked.is_for(self._daemon.node.hostname)
        except Exception as exc:  # noqa: BLE001 (decoders and patterns raise what they like)
            logger.info("A request of remote control cannot be read: %s", exc)
            return
        self._daemon.node.clock.adjust(heard.headers.get("clock"))
        if ours:
            logger.debug("Remote control: %s %s", asked.method, asked.arguments)
            self._dispatch(asked, heard)

    def _dispatch(self, asked: Asked, heard: Heard) -> None:
        arguments = dict(asked.arguments or {})
        command = self._registry.get(asked.method, Door.BROKER)
        reply = BrokerReply(partial(self._reply, asked))
        if command is None:
            logger.info(
                "Remote control: there is no command %r, asked for by %s",
                asked.method,
                asked.sender(heard) or NOBODY,
            )
            reply.answer({"error": repr(KeyError(asked.method))})
            return
        if why := self._policy.refusal(command, heard.headers, heard.body):
            self._refusals.tell(asked.method, asked.sender(heard), why)
            reply.answer({"error": f"{asked.method} is not allowed here: {why}"})
            return
        if command.name == "hello" and not self._policy.trusts(heard.headers, heard.body):
            arguments.pop("revoked", None)
        self._registry.run(self._daemon, Call(asked.method, arguments), "", reply, Door.BROKER)

    def _reply(self, asked: Asked, value: Any) -> None:
        to, manner = asked.reply_to, self._manner
        if to is None or self.answer is None:
            return
        if to.exchange != manner.reply_exchange:
            logger.warning(
                "Remote control: no answer is sent to exchange %r, which is not for answers", to.exchange
            )
            return
        content_type, encoding, body = self._dumped(value)
        headers = {"ticket": asked.ticket, "clock": self._daemon.node.clock.forward()}
        if manner.key:
            headers[HEADER] = signature(manner.key, body, self._clock.wall())
        self.answer(Notice(to.exchange, to.routing_key, body, headers, content_type, encoding))

    def _dumped(self, value: Any) -> tuple[str, str, bytes]:
        node, serializer = self._daemon.node.hostname, self._manner.serializer
        try:
            return dump({node: value}, serializer)
        except (KombuError, TypeError, ValueError) as exc:
            logger.warning("Remote control: an answer cannot be written as %s: %s", serializer, exc)
            return dump({node: {"error": f"the answer cannot be written as {serializer}: {exc}"}}, "json")
