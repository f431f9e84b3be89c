"""Gossip: which other nodes there are, who comes and who goes; and elections among them.

A node has *joined* when it is first heard of, *left* when it says so, and is *lost* when it was silent for
two of its heartbeats.  One that is lost and not heard of for ``GIVEN_UP`` more has left, too.

Units:  seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from kombu.exceptions import ContentDisallowed, DecodeError

from workerd.bootsteps import StartStopStep
from workerd.broadcast import Exchange, Heard, Station
from workerd.events.election import Elections
from workerd.events.state import OwnWorker, State, Worker
from workerd.worker.consumer.remote import RUNS_CODE

if TYPE_CHECKING:
    from workerd.broadcast import Broadcast
    from workerd.worker.consumer.consumer import Consumer

logger = logging.getLogger(__name__)

GIVEN_UP = 10.0

LATE = 1.0
"""A look that comes so late says nothing about others: this process was stopped, or very busy."""

Handler = Callable[[Worker], object]


class Handlers(msgspec.Struct):
    """Called with the ``Worker`` that has joined, left or is lost."""

    node_join: set[Handler] = msgspec.field(default_factory=set)
    node_leave: set[Handler] = msgspec.field(default_factory=set)
    node_lost: set[Handler] = msgspec.field(default_factory=set)


class Gossip(StartStopStep):
    """``c.gossip``; absent with ``cluster.gossip = false``."""

    label = "Gossip"
    requires = ("Mingle",)
    conditional = True

    def __init__(self, c: Consumer, **options: Any) -> None:
        worker, conf = c.controller, c.app.conf
        self.enabled = worker.config.cluster.gossip
        self.hostname, self.on = c.hostname, Handlers()
        own = OwnWorker(c.hostname, worker.clock.now)
        own.pid = os.getpid()
        self.state = State(own, worker.clock.now, worker.clock.wall)
        self.election_handlers: dict[str, Callable[[Any], object]] = {"task": self.call_task}
        """What is done by the winner of an election, by its topic."""
        self._app, self._now = c.app, worker.clock.now
        self._accept = [name for name in ("json", conf.event_serializer) if name not in RUNS_CODE]
        self._elections = Elections(own.id, c.event_dispatcher.tell, self._voters, self._won)
        self._lost: dict[str, float] = {}  # names of nodes, and when they are given up
        self._timer: Any = None
        self._due = 0.0
        self._listening = False
        self._timers: Any = None  # of the generation
        self._broadcast: Broadcast | None = None
        c.gossip = self

    def start(self, c: Consumer) -> None:
        if c.broadcast is None or self._listening:
            return
        conf, self._listening, self._timers, self._broadcast = c.app.conf, True, c.timer, c.broadcast
        for worker in self.state.others:
            worker.forgive()  # nothing could be heard of them without a link
        station = Station(
            Exchange(conf.event_exchange, "topic", durable=True),
            queue=f"{conf.event_queue_prefix}.{uuid.uuid4()}",
            key="worker.#",
            message_ttl=conf.event_queue_ttl,
            expires=conf.event_queue_expires,
        )
        c.broadcast.listen(station, self._heard)
        self._elections.start(c.hub.call_later)
        self._look_later()

    def stop(self, c: Consumer) -> None:
        self._listening, self._timers, self._broadcast = False, None, None
        self._elections.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def shutdown(self, c: Consumer) -> None:
        self.stop(c)

    # -- elections -------------------------------------------------------------------------------

    def election(self, election_id: str, topic: str, action: Any = None) -> None:
        """Vote in an election that all nodes hold; the winner does ``election_handlers[topic](action)``."""
        self._elections.stand(election_id, topic, action)

    def call_task(self, task: Any) -> None:
        """Send the task that this signature means.

        In a thread of its own, for once: to send waits for the broker, and the loop must not.
        """
        threading.Thread(target=self._call, args=(task,), name="election", daemon=True).start()

    def _call(self, task: Any) -> None:
        try:
            self._app.signature(task).apply_async()
        except Exception:
            logger.exception("The task of an election could not be sent")

    def _voters(self) -> set[str]:
        return {worker.hostname for worker in self.state.alive_workers()}

    def _won(self, topic: str, action: Any) -> None:
        handler = self.election_handlers.get(topic)
        if handler is None:
            logger.error("Nothing is known to do about the topic %r of an election", topic)
        else:
            handler(action)

    # -- what is heard ---------------------------------------------------------------------------

    def _heard(self, heard: Heard) -> None:
        if not self._listening or not heard.key.startswith("worker."):
            return  # on Redis without fanout_patterns everything comes
        try:
            event = heard.value(self._accept)
        except (DecodeError, ContentDisallowed, ValueError) as exc:
            logger.info("An event cannot be read: %s", exc)
            return
        if not isinstance(event, dict):
            return
        self._app.clock.adjust(event.get("clock"))
        if heard.key == "worker.elect":
            self._elections.heard_vote(event)
        elif heard.key != "worker.elect.ack":  # those are for Celery's workers
            self._follow(event)

    def _follow(self, event: dict[str, Any]) -> None:
        worker, joined = self.state.event(event)
        if worker is None:
            return
        self._lost.pop(worker.hostname, None)
        if not worker.heartbeats:
            logger.debug("%s left", worker.hostname)
            self._call_all(self.on.node_leave, worker)
        elif joined:
            logger.debug("%s joined the party", worker.hostname)
            self._call_all(self.on.node_join, worker)
        if self._timer is None:
            self._look_later()

    def _call_all(self, handlers: set[Handler], worker: Worker) -> None:
        for handler in list(handlers):
            try:
                handler(worker)
            except Exception:
                logger.exception("%r raised for %s", handler, worker.hostname)

    # -- what is not heard -----------------------------------------------------------------------

    def _look_later(self) -> None:
        """Look when the next one may have been silent for too long."""
        moments = [worker.expires for worker in self.state.others if worker.heartbeats]
        if self._timers is not None and (moments or self._lost):
            self._due = min([*moments, *self._lost.values()])
            self._timer = self._timers.call_after(max(self._due - self._now(), 0.05), self._look)

    def _look(self) -> None:
        self._timer, now = None, self._now()
        if now - self._due > LATE or self._broadcast is None or not self._broadcast.hears:
            # What they have sent meanwhile waits in the socket, or has not reached us.
            for worker in self.state.others:
                worker.forgive()
        for worker in [one for one in self.state.others if not one.alive]:
            self.state.forget(worker)
            self._lost[worker.hostname] = now + GIVEN_UP
            logger.info("missed heartbeat from %s", worker.hostname)
            self._call_all(self.on.node_lost, worker)
        for hostname in [name for name, when in self._lost.items() if when <= now]:
            del self._lost[hostname]
            logger.info("%s is given up", hostname)
            self._call_all(self.on.node_leave, Worker(hostname, self._now))
        self._look_later()
