"""Crew: the children that live, their frames and their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import msgspec

from workerd_pool import lines
from workerd_pool.attention import Attention
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Job, Loop, Spec
from workerd_pool.deadlines import NEVER
from workerd_pool.death import Cause, Death, Reason
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.errors import ProtocolError
from workerd_pool.frames import Frame, Kind
from workerd_pool.log import logger
from workerd_pool.memory import resident
from workerd_pool.reaper import Reaper
from workerd_pool.spawning import spawn
from workerd_pool.states import ChildEvent, ChildState
from workerd_pool.teller import Teller
from workerd_pool.template_handle import TemplateHandle
from workerd_pool.witness import OomWitness

CLOSED_GRACE = 1.0  # seconds between the end of a child's up socket and its death

_decode_failed = msgspec.msgpack.Decoder(tuple[str, str]).decode
_decode_ready = msgspec.msgpack.Decoder(tuple[int]).decode
_decode_log = msgspec.msgpack.Decoder(tuple[int, str]).decode


class CrewEvents(Protocol):
    """What the crew tells the reconciler."""

    def child_ready(self, child: ChildHandle) -> None:
        """It takes jobs now."""

    def child_spent(self, child: ChildHandle) -> None:
        """It has served enough."""

    def child_due(self, when: float) -> None:
        """Call the Enforcer's ``tick`` at ``when``."""

    def fork_overdue(self, child: ChildHandle) -> None:
        """Its template has not forked it in time."""

    def child_gone(self, child: ChildHandle, death: Death) -> None:
        """It is dead, its jobs are told, it is in the crew no more."""


class Crew:
    """Effects only; what should exist is decided elsewhere."""

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        clock: Callable[[], float],
        dispatcher: Dispatcher,
        teller: Teller,
        events: CrewEvents,
        witness: OomWitness,
    ) -> None:
        self._loop, self._reaper, self._clock = loop, reaper, clock
        self._dispatcher, self._teller = dispatcher, teller
        self._events, self._witness = events, witness
        self._children: dict[int, ChildHandle] = {}
        self._last_key = 0
        self._attention = Attention(loop, self.read)
        dispatcher.beginnings.on_begun = self._replace_spent
        self._serve_by_kind: dict[int, Callable[[ChildHandle, bytes, bytes], None]] = {
            Kind.DONE: dispatcher.feedback.on_done,
            Kind.PROGRESS: dispatcher.feedback.on_progress,
            Kind.INITIALISED: self._on_initialised,
            Kind.READY: self._on_ready,
            Kind.FAILED: self._on_failed,
            Kind.LOG: self._on_log,
            Kind.PONG: self._on_pong,
        }

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[ChildHandle]:
        return iter(self._children.values())

    # -- what the reconciler orders

    def make(self, generation: int, slot: int, spec: Spec, template: TemplateHandle | None) -> bool:
        """Ask the template for a child, or spawn one; False: ask again later.  Raises OSError."""
        self._last_key += 1
        child = ChildHandle(self._last_key, slot, generation, spec, self._reaper, self._teller)
        try:
            pid = spawn(child, spec) if template is None else 0
            made = template is None or template.fork(child)
        except OSError:
            child.discard()
            raise
        if not made:
            child.discard()
            return False
        child.since = self._clock()
        self._children[child.key] = child
        self._attention.listen(child)
        child.outlet.listen(child, partial(self._dispatcher.unhush, child))
        self._enter(child, "FORKED")
        if pid:
            self.forked(child.key, pid)
        return True

    def retire(self, key: int) -> ChildHandle:
        """Let a child go after the job it has begun; return it."""
        child = self._children[key]
        child.wanted_dead = True
        self._dispatcher.release(child)
        child.apply(ChildEvent.RETIRE)
        if not child.jobs and child.state is ChildState.DRAINING and child.was_ready:
            self._enter(child, "gone")
        return child

    def kill(self, child: ChildHandle, cause: Cause, words: str) -> None:
        """KILL a child and its group; ``cause`` and ``words`` become those of its death."""
        self._kill(child, Reason(cause, words), None)

    def kill_for(self, child: ChildHandle, job: Job, reason: Reason) -> None:
        """KILL a child for one job of it; another one that has begun since is a bystander."""
        self._kill(child, reason, job)

    def _kill(self, child: ChildHandle, reason: Reason, job: Job | None) -> None:
        if child.reason is None:
            child.reason, child.condemned = reason, job
        child.wanted_dead = True
        self._dispatcher.remove(child)
        child.apply(ChildEvent.KILL)

    def ping(self) -> None:
        """Ask every idle child for a sign of life; ``ChildHandle.seen`` tells when it came."""
        for child in self:
            if child.state is ChildState.IDLE:
                child.ping()

    # -- what the templates tell

    def forked(self, key: int, pid: int) -> None:
        """The child exists: adopt it."""
        child = self._children.get(key)
        if child is None:
            return
        child.pid = pid
        try:
            self._reaper.watch(pid, partial(self._on_exit, child), partial(_clear_group, child))
        except ProcessLookupError:
            self._on_exit(child, None)
            return
        child.apply(ChildEvent.FORKED)
        self._enter(child, "INITIALISED")

    def fork_failed(self, key: int, reason: str) -> None:
        """The child will not come."""
        child = self._children.get(key)
        if child is not None:
            child.blame(Cause.START, reason)
            self._on_exit(child, None)

    def orphaned(self, generation: int) -> None:
        """The template of a generation is gone: what it has not told will not be told."""
        for child in list(self):
            if child.generation == generation and not child.pid:
                child.blame(Cause.START, "its template died before it could be adopted")
                child.wanted_dead = True
                child.apply(ChildEvent.KILL)
                if child.at_end:
                    self._on_exit(child, None)
                else:
                    # Without GO it leaves as soon as it reads the end of its socket; then so do we.
                    child.untold = True

    # -- frames

    def read(self, child: ChildHandle) -> None:
        """Serve the frames that it has written."""
        try:
            got = child.sockets.read()
            if got is None:
                self._on_end(child)
                return
            self._serve(child, got)
        except (ProtocolError, msgspec.MsgspecError, MemoryError, OSError) as exc:
            # What was read and could not be served is lost; without its death its job would never end.
            self._distrust(child, exc)
            got = []
        self._dispatcher.settle()
        self._attention.rest(child, len(got))

    def _serve(self, child: ChildHandle, got: list[Frame]) -> None:
        if child.silent and got:
            self._dispatcher.silence.heard(child)
        for kind, header, body in got:
            serve = self._serve_by_kind.get(kind)
            if serve is None:
                raise ProtocolError(f"a child sent a frame of kind {kind}")
            serve(child, header, body)
        self._replace_spent(child)
        if child.state is ChildState.DRAINING and not child.jobs and child.due.phase == NEVER:
            self._enter(child, "gone")

    def _replace_spent(self, child: ChildHandle) -> None:
        if child.spent and not child.leaving:
            self._events.child_spent(child)

    def _distrust(self, child: ChildHandle, exc: Exception) -> None:
        logger.error("%s cannot be served any more and is killed: %r", child.name(), exc)
        self._stop_reading(child)
        self.kill(child, Cause.PROTOCOL, f"protocol error: {exc!r}")
        child.wanted_dead = False

    def _on_end(self, child: ChildHandle) -> None:
        """Its up socket is closed: it is dying, or task code has closed what is not its own."""
        self._stop_reading(child)
        if child.untold:
            self._on_exit(child, None)
        elif child.state < ChildState.TERMINATING:
            child.due.enter("gone, its socket to the supervisor is closed", self._clock() + CLOSED_GRACE)
            self._events.child_due(child.due.phase)

    def _stop_reading(self, child: ChildHandle) -> None:
        if not child.at_end:
            child.at_end = True
            self._attention.stop(child)

    def _on_initialised(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        self._enter(child, "READY")

    def _on_ready(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        child.outlet.end(lines.START, None, _decode_ready(header)[0])
        child.due.phase_over()
        child.was_ready, child.since = True, self._clock()
        child.fresh = resident(child.pid)
        child.apply(ChildEvent.READY)
        if child.ready:
            self._dispatcher.add(child)
            self._events.child_ready(child)
        else:
            self._enter(child, "gone")

    def _on_failed(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        reason, child.traceback = _decode_failed(header)
        child.blame(Cause.START, f"it could not start: {reason}")

    def _on_log(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        level, text = _decode_log(header)
        logger.log(level, "%s: %s", child.name(), text)

    def _on_pong(self, child: ChildHandle, header: bytes, body: bytes) -> None:
        child.seen = self._clock()

    def _enter(self, child: ChildHandle, phase: str) -> None:
        child.due.enter(phase, self._clock() + child.spec.boot_timeout)
        self._events.child_due(child.due.phase)

    # -- the end

    def _on_exit(self, child: ChildHandle, status: int | None) -> None:
        if self._children.pop(child.key, None) is None:
            return
        try:
            self._serve(child, child.sockets.read_all())
        except (ProtocolError, msgspec.MsgspecError, MemoryError, OSError) as exc:
            logger.error("%s left broken frames behind: %r", child.name(), exc)
        self._stop_reading(child)
        self._dispatcher.beginnings.look_at(child, self._clock())
        if child.state is ChildState.DRAINING and child.current is not None:
            # It was to go after this job, not with it.
            child.wanted_dead = False
        if child.reason is None and (words := self._witness.explain(status)):
            child.blame(Cause.OOM, words)
        child.apply(ChildEvent.EXITED)
        death = child.death(status)
        # First: what it printed explains its end.
        child.outlet.bury(child.current, child.name())
        self._dispatcher.bury(child, death)
        child.close()
        self._events.child_gone(child, death)


def _clear_group(child: ChildHandle) -> None:
    """What a crashed child has started dies with it: its job may run again at once."""
    if child.state is not ChildState.DRAINING or child.jobs:
        child.kill_group()
