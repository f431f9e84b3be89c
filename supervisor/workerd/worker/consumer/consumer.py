"""The Consumer: runs its blueprint once for each broker connection.

A connection and all that is registered for it is a *generation*; it owns a ``Scope``, and closing the scope
removes everything at once.  The loss of the connection is an event for the link's state, never an exception
that crosses the loop; the next attempt is a timer, never a sleep.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.backends.url import shown
from workerd.bootsteps import Blueprint
from workerd.bootsteps.attributes import FromStep
from workerd.bootsteps.order import Neighbours
from workerd.errors import RefusedError, UnavailableError, WorkerdError
from workerd.worker.consumer.agent import Agent
from workerd.worker.consumer.brokers import Brokers
from workerd.worker.consumer.connection import Connection
from workerd.worker.consumer.control import Control
from workerd.worker.consumer.events import Events
from workerd.worker.consumer.evloop import EventLoop
from workerd.worker.consumer.gossip import Gossip
from workerd.worker.consumer.heart import Heart
from workerd.worker.consumer.link import Link, LinkState
from workerd.worker.consumer.mingle import Mingle
from workerd.worker.consumer.perseverance import Perseverance
from workerd.worker.consumer.surface import TaskSurface
from workerd.worker.consumer.tasks import Tasks
from workerd.worker.life.stop_time import Part
from workerd.worker.link_errors import is_link_error
from workerd.worker.loop.inbox import StopRequested
from workerd.worker.loop.scope import Scope

if TYPE_CHECKING:
    from workerd.broadcast import Broadcast
    from workerd.events import EventDispatcher
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool

logger = logging.getLogger(__name__)

FAREWELL = 2.0
"""Seconds that a broker has to answer the end of a link."""

LOST = 0.25
"""The same for a link that is lost: at best nobody is there to answer."""

STEPS = (Connection, Events, Mingle, Gossip, Heart, Agent, Control, Tasks, EventLoop)
"""The boot order that a reader can see."""


class Consumer(TaskSurface):
    """``worker.consumer``, the parent object of consumer steps; one for the daemon, over all its links."""

    hostname: str
    """The name of this node, such as ``main@host``."""
    blueprint: Blueprint
    """Of the consumer; ``blueprint["Tasks"]`` is a step."""
    pool: NamedPool
    """The default pool."""
    broadcast: Broadcast | None
    """What other nodes are told and heard over; None while there is no link, or where it has none."""
    event_dispatcher: FromStep[EventDispatcher] = FromStep("Events")
    """Sends events of this node: ``c.event_dispatcher.send(kind, **fields)``."""
    gossip: FromStep[Gossip] = FromStep("Gossip")
    """Which other nodes there are, and elections among them."""
    heart: FromStep[Heart | None] = FromStep("Heart")
    """Sends the node's heartbeats; None where it sends none."""

    def __init__(self, worker: WorkController) -> None:
        super().__init__(worker)
        self.controller = worker
        """The WorkController."""
        self.app = worker.app
        """The App that the daemon serves."""
        self.hostname = worker.hostname
        """The name of the node, ``main@host``."""
        self.pool = worker.pool
        """The default pool."""
        self.brokers = Brokers(worker.broker_urls)
        self.link = Link(ways=len(self.brokers))
        self.scope = Scope(worker.hub, self._broken)
        self.steps: list[Any] = []
        self.perseverance = Perseverance(worker.app.conf)
        self._retry: Any = None
        self._closed = False
        self._refusal = ""  # the last one that was told
        self.blueprint = Blueprint(
            name="Consumer",
            default_steps=STEPS,
            steps=worker.added_steps["consumer"],
            parent_attribute="c",
            around=worker.patience,
        )
        """The Consumer blueprint; ``c.blueprint["Tasks"]`` is a step by its label."""
        self.blueprint.neighbours = Neighbours(before=worker.blueprint.classes)
        self.blueprint.apply(self, **worker.given.options)
        self.update_strategies()

    def __repr__(self) -> str:
        return f"<Consumer: {self.hostname} ({self.link.state.value})>"

    @property
    def hub(self) -> Scope:
        """The loop as this generation sees it: what is registered here ends with the connection."""
        return self.scope

    @property
    def timer(self) -> Any:
        """The scheduler of this generation."""
        return self.scope.timer

    # -- generations -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; a broker that is down is waited for, without holding up the daemon."""
        if self._retry is None:
            self._attempt()

    def _attempt(self) -> None:
        self._retry = None
        if self._closed or self.link.state is not LinkState.DOWN:
            return
        generation = self.link.connecting(self.controller.clock.now())
        self.scope = Scope(self.controller.hub, partial(self._broken, generation=generation))
        try:
            self.blueprint.start(self)
        except StopRequested:
            # A drain still has runs to settle over the next link.
            self._try_again(self._tear_down("a stop was asked for"))
        except Exception as exc:  # noqa: BLE001 (whatever a step raises becomes a state of the link)
            self._attempt_failed(generation, exc)
        else:
            self._connected(generation)

    def _connected(self, generation: int) -> None:
        if generation != self.link.generation or self.link.state is not LinkState.CONNECTING:
            return  # lost while its steps were starting; the next attempt is set
        logger.info("Connected to %s", shown(self.brokers.url))
        self._refusal = ""
        self.link.up(self.controller.clock.now())
        self.controller.link_up()

    def _attempt_failed(self, generation: int, exc: Exception) -> None:
        """A broker that cannot be reached is tried again; what a step breaks ends a start, and later it is
        tried again too, because a daemon that serves must not end for one bad moment."""
        if not isinstance(exc, UnavailableError) and not is_link_error(exc):
            if self.link.restarts < 0 and self.link.failures == 0:
                raise exc
            self._tell_failure(exc)
        self.link_lost(generation, describe(exc), refused=isinstance(exc, RefusedError))

    def _tell_failure(self, exc: Exception) -> None:
        """In one line if it is known what is wrong; once, and not at each attempt that meets it again."""
        if describe(exc) == self.link.reason:
            return
        if isinstance(exc, WorkerdError):
            logger.error("A step of the consumer failed: %s; trying again", exc)
        else:
            logger.error("A step of the consumer failed: %r; trying again", exc, exc_info=exc)

    @property
    def trying(self) -> bool:
        """Another attempt at the broker is set."""
        return self._retry is not None or self._closed

    @property
    def lost(self) -> bool:
        """A generation that ends now has no link: who waits for the broker's answer, waits in vain."""
        return not self._closed

    def link_lost(self, generation: int, reason: str, *, refused: bool = False) -> None:
        """The connection of ``generation`` is gone: end it and try again later.

        An outage is told once, for each broker of the list; what somebody has to mend, whenever it begins.
        """
        if generation != self.link.generation or self._closed or self.link.state is LinkState.DOWN:
            return
        was_up, where = self.link.state is LinkState.UP, shown(self.brokers.url)
        if not was_up:
            self.brokers.failed()
        delay = self._tear_down(reason)
        given_up = self.perseverance.end(self.link)
        told = reason if where in reason else f"{where}: {reason}"
        if was_up:
            logger.warning("Connection to the broker lost: %s%s", told, "" if given_up else "; trying again")
        elif self.link.failures <= len(self.brokers) or (refused and reason != self._refusal):
            logger.error("No link to the broker: %s; trying %s", told.removesuffix("."), self._whom(where))
        self._refusal = reason if refused else self._refusal
        if not given_up:
            self._try_again(delay)
        self.controller.link_down(reason)
        if given_up:
            self.controller.give_up(f"no link to the broker: {told}", given_up)

    def _whom(self, where: str) -> str:
        following = shown(self.brokers.url)
        return "again" if following == where else following

    def _try_again(self, delay: float) -> None:
        self._retry = self.controller.hub.call_later(delay, self._attempt)

    def _tear_down(self, reason: str) -> float:
        delay = self.link.down(reason, self.controller.clock.now())
        self.blueprint.restart(self)
        self.scope.close()
        return delay

    @property
    def draining(self) -> bool:
        """The daemon takes no more work."""
        return self.controller.dispatcher.draining

    def drain(self) -> None:
        """The daemon takes no more: tell the steps, as far as they want to know."""
        self.blueprint.send_all(self, "drain", description="draining", propagate=False)

    def farewell(self) -> AbstractContextManager[None]:
        """What is told to the broker at the end of a link waits for so long for its answers."""
        most = FAREWELL if self._closed or self.link.state is LinkState.UP else LOST
        return self.controller.inbox.bounded(self.controller.stop_time.left(most, Part.LINK))

    def _broken(self, exc: BaseException, generation: int = 0) -> None:
        """A callback of this generation met a connection error."""
        self.link_lost(generation, describe(exc))

    # -- the end ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the generation for good."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.link.down("the daemon is stopping", self.controller.clock.now())
        self.blueprint.stop(self)
        self.blueprint.shutdown(self)
        self.scope.close()

    def terminate(self) -> None:
        self.stop()

    def info(self) -> dict[str, Any]:
        return self.blueprint.info(self)


def describe(exc: BaseException) -> str:
    """An exception in one line, for people."""
    text = str(exc).strip() or type(exc).__name__
    return text.splitlines()[0]
