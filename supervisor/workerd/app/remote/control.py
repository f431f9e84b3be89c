"""``app.control``: ask the nodes of the cluster, Celery's workers among them, over the broker.

``app.control.broadcast("ping", reply=True)`` is a list of ``{node: answer}``, one for each node that has
answered in time; the methods of the commands are short for it.  ``app.control.inspect().active()`` is one
mapping of nodes to answers, or None when nobody has answered.

Units:   seconds.
Errors:  UnavailableError and ConfigError, as of ``app.broker``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from kombu import entity

from workerd.app.remote.inspect import Inspect
from workerd.app.remote.reply_box import Answers, ReplyBox, Whom
from workerd.app.remote.waiting import shared_queues, waiting_messages
from workerd.protocol.outgoing import origin
from workerd.protocol.serial import dump
from workerd.protocol.signing import HEADER, signature

if TYPE_CHECKING:
    from workerd.app.base import App

Ids = str | Sequence[str]

# kombu has no types.
_Exchange: Any = entity.Exchange


class RemoteControl:
    """For one app; ``key`` signs what is asked of daemons that have the same ``control.key``."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.key = ""

    def inspect(
        self,
        destination: Sequence[str] | None = None,
        timeout: float = 1.0,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> Inspect:
        """The commands that look, for these nodes."""
        whom = Whom(destination=destination, timeout=timeout, pattern=pattern, matcher=matcher, reply=True)
        return Inspect(self.broadcast, whom)

    def broadcast(
        self, command: str, arguments: Mapping[str, Any] | None = None, **whom: Unpack[Whom]
    ) -> Answers | None:
        """Ask; the answers with ``reply``, else None at once."""
        destination, conf = whom.get("destination"), self._app.conf
        body: dict[str, Any] = {
            "method": command,
            "arguments": dict(arguments or {}),
            "destination": list(destination) if destination is not None else None,
            "pattern": whom.get("pattern"),
            "matcher": whom.get("matcher"),
        }
        timeout = whom.get("timeout", 1.0)
        exchange = _Exchange(f"{conf.control_exchange}.pidbox", type="fanout", durable=False)
        with self._app.broker.reaching(), self._app.broker.producer() as producer:
            if not whom.get("reply"):
                self._publish(producer, exchange, body, timeout)
                return None
            limit = whom.get("limit") or (len(destination) if destination else None)
            box = ReplyBox(producer, f"reply.{conf.control_exchange}.pidbox", conf)
            with box.listening():
                self._publish(producer, exchange, body | box.address, timeout)
                return box.collect(timeout, limit)

    def _publish(self, producer: Any, exchange: Any, body: Mapping[str, Any], timeout: float) -> None:
        content_type, encoding, data = dump(body, self._app.conf.task_serializer)
        now = time.time()
        headers = {"clock": self._app.clock.forward(), "expires": now + timeout, "origin": origin()}
        if self.key:
            headers[HEADER] = signature(self.key, data, now)
        producer.publish(
            data,
            exchange=exchange.name,
            routing_key="",
            declare=[exchange],
            headers=headers,
            content_type=content_type,
            content_encoding=encoding,
            serializer=None,
            delivery_mode=2,
            retry=True,
        )

    # -- tasks -----------------------------------------------------------------------------------

    def revoke(
        self, task_id: Ids, terminate: bool = False, signal: str = "TERM", **whom: Unpack[Whom]
    ) -> Answers | None:
        """Run no task of these ids; with ``terminate`` end those that run."""
        arguments = {"task_id": _plain(task_id), "terminate": terminate, "signal": signal}
        return self.broadcast("revoke", arguments, **whom)

    def terminate(self, task_id: Ids, signal: str = "TERM", **whom: Unpack[Whom]) -> Answers | None:
        """End the tasks of these ids."""
        return self.revoke(task_id, terminate=True, signal=signal, **whom)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        terminate: bool = False,
        signal: str = "TERM",
        **whom: Unpack[Whom],
    ) -> Answers | None:
        """Run nothing that bears one of these stamps."""
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": signal}
        return self.broadcast("revoke_by_stamped_headers", arguments, **whom)

    def rate_limit(self, task_name: str, rate_limit: Any, **whom: Unpack[Whom]) -> Answers | None:
        """Begin not more runs of the task in a time, on each node."""
        return self.broadcast("rate_limit", {"task_name": task_name, "rate_limit": rate_limit}, **whom)

    def time_limit(
        self, task_name: str, soft: float | None = None, hard: float | None = None, **whom: Unpack[Whom]
    ) -> Answers | None:
        """Other time limits for the task."""
        return self.broadcast("time_limit", {"task_name": task_name, "soft": soft, "hard": hard}, **whom)

    # -- pools and queues ------------------------------------------------------------------------

    def pool_grow(self, n: int = 1, **whom: Unpack[Whom]) -> Answers | None:
        """So many slots more."""
        return self.broadcast("pool_grow", {"n": n}, **whom)

    def pool_shrink(self, n: int = 1, **whom: Unpack[Whom]) -> Answers | None:
        """So many slots fewer."""
        return self.broadcast("pool_shrink", {"n": n}, **whom)

    def pool_restart(self, **whom: Unpack[Whom]) -> Answers | None:
        """Load the app anew."""
        return self.broadcast("pool_restart", {}, **whom)

    def autoscale(self, max: int, min: int, **whom: Unpack[Whom]) -> Answers | None:  # noqa: A002
        """Let the pool move between these sizes."""
        return self.broadcast("autoscale", {"max": max, "min": min}, **whom)

    def add_consumer(
        self, queue: str, options: Mapping[str, Any] | None = None, **whom: Unpack[Whom]
    ) -> Answers | None:
        """Consume ``queue``; ``options`` say how it is bound."""
        return self.broadcast("add_consumer", {"queue": queue, **(options or {})}, **whom)

    def cancel_consumer(self, queue: str, **whom: Unpack[Whom]) -> Answers | None:
        """Consume ``queue`` no more."""
        return self.broadcast("cancel_consumer", {"queue": queue}, **whom)

    def purge(self) -> int:
        """Delete what waits in the app's queues, for good; how many messages.  No node is asked."""
        with waiting_messages(self._app) as waiting:
            return sum(waiting.purge(sorted(shared_queues(self._app))).values())

    discard_all = purge

    # -- nodes -----------------------------------------------------------------------------------

    def ping(self, **whom: Unpack[Whom]) -> Answers | None:
        """Who is there."""
        whom["reply"] = True
        return self.broadcast("ping", {}, **whom)

    def enable_events(self, **whom: Unpack[Whom]) -> Answers | None:
        """Send events of tasks."""
        return self.broadcast("enable_events", {}, **whom)

    def disable_events(self, **whom: Unpack[Whom]) -> Answers | None:
        """Send no events of tasks."""
        return self.broadcast("disable_events", {}, **whom)

    def heartbeat(self, **whom: Unpack[Whom]) -> Answers | None:
        """Send an event that says that the node is there."""
        return self.broadcast("heartbeat", {}, **whom)

    def election(
        self, election_id: str, topic: str, action: Any = None, **whom: Unpack[Whom]
    ) -> Answers | None:
        """Let the nodes elect one of them, which does ``action``; of the topic ``task`` that is a signature,
        which it sends."""
        arguments = {"id": election_id, "topic": topic, "action": action}
        return self.broadcast("election", arguments, **whom)

    def shutdown(self, **whom: Unpack[Whom]) -> Answers | None:
        """Drain and stop."""
        return self.broadcast("shutdown", {}, **whom)


def _plain(ids: Ids) -> str | list[str]:
    return ids if isinstance(ids, str) else list(ids)
