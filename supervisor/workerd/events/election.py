"""Elections: the nodes of a cluster agree on one of them, once, for something that one of them should do.

Each node names itself with its logical clock; the earliest is elected, and of equal ones the first by name.
A node knows that all have spoken when it has heard from all that are alive; it decides by what it has heard
when ``PATIENCE`` is over.  For Celery's workers, which count them, each vote is acknowledged.

Units:  seconds.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from workerd.transport.loop import Cancelable

logger = logging.getLogger(__name__)

PATIENCE = 2.0
MOST = 100
"""Elections at a time; more are nobody's honest wish."""

MOST_DECIDED = 1000
"""Ids that are remembered, so that a vote that comes late begins nothing."""


class Election(msgspec.Struct):
    """One that goes on; ``votes`` are (clock, node, topic, action) by the name of the host."""

    votes: dict[str, tuple[int, str, str, Any]] = msgspec.field(default_factory=dict)
    timer: Cancelable | None = None

    def leader(self) -> tuple[int, str, str, Any]:
        """Whom everybody who has heard the same votes elects."""
        return min(self.votes.values(), key=lambda vote: vote[:2])


class Elections:
    """Those in which ``node`` takes part.

    ``send`` sends an event, ``alive`` names the hosts that should vote, and ``won`` is told the topic and the
    action of an election that this node has won.
    """

    def __init__(
        self,
        node: str,
        send: Callable[[str, dict[str, Any]], object],
        alive: Callable[[], set[str]],
        won: Callable[[str, Any], object],
    ) -> None:
        self._node, self._send, self._alive, self._won = node, send, alive, won
        self._later: Callable[[float, Callable[..., object], str], Cancelable] | None = None
        self._going: dict[str, Election] = {}
        self._decided: deque[str] = deque(maxlen=MOST_DECIDED)

    def start(self, later: Callable[[float, Callable[..., object], str], Cancelable]) -> None:
        """There is a link; ``later`` calls once after so many seconds."""
        self._later = later

    def stop(self) -> None:
        """The link goes, and with it the votes that are under way."""
        for election in self._going.values():
            if election.timer is not None:
                election.timer.cancel()
        self._going.clear()
        self._later = None

    def stand(self, election_id: str, topic: str, action: Any) -> None:
        """Vote for this node."""
        if self._open(election_id) is not None:
            self._send("worker-elect", {"id": election_id, "topic": topic, "action": action, "cver": 1})

    def heard_vote(self, event: Mapping[str, Any]) -> None:
        """A node has voted for itself."""
        try:
            election_id, host, clock = str(event["id"]), str(event["hostname"]), int(event["clock"])
            vote = (clock, f"{host}.{event['pid']}", str(event["topic"]), event["action"])
        except (KeyError, TypeError, ValueError) as exc:
            logger.warning("A vote cannot be read: %r", exc)
            return
        self._send("worker-elect-ack", {"id": election_id})
        election = self._open(election_id)
        if election is None:
            return
        election.votes[host] = vote
        if election.votes.keys() >= self._alive():
            self._decide(election_id)

    def _open(self, election_id: str) -> Election | None:
        election = self._going.get(election_id)
        if election_id in self._decided:
            return None  # a vote that comes late, or a second time
        if election is None and self._later is not None and len(self._going) < MOST:
            election = self._going[election_id] = Election()
            election.timer = self._later(PATIENCE, self._decide, election_id)
        return election

    def _decide(self, election_id: str) -> None:
        election = self._going.pop(election_id, None)
        if election is None:
            return
        self._decided.append(election_id)
        if election.timer is not None:
            election.timer.cancel()
        if not election.votes:
            logger.warning("Nobody has voted in the election %r", election_id)
            return
        _, leader, topic, action = election.leader()
        if leader == self._node:
            logger.info("I won the election %r", election_id)
            self._won(topic, action)
        else:
            logger.info("node %s elected for %r", leader, election_id)
