"""Templates: the template processes that live, their frames and their ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from workerd_pool.contract import Loop, Spec
from workerd_pool.deadlines import DUMP_GRACE, NEVER
from workerd_pool.death import Death
from workerd_pool.errors import ProtocolError
from workerd_pool.frames import Kind
from workerd_pool.lines import START
from workerd_pool.log import logger
from workerd_pool.reaper import Reaper
from workerd_pool.states import TemplateEvent
from workerd_pool.teller import Teller
from workerd_pool.template_handle import TemplateHandle
from workerd_pool.witness import OomWitness

_decode_ready = msgspec.msgpack.Decoder(dict[str, Any]).decode
_decode_forked = msgspec.msgpack.Decoder(tuple[int, int]).decode
_decode_failed = msgspec.msgpack.Decoder(tuple[int | None, str, str]).decode


class TemplateEvents(Protocol):
    """What the templates tell the reconciler."""

    def template_ready(self, template: TemplateHandle, table: dict[str, Any], threads: list[str]) -> None:
        """It has imported the entry, and can fork unless it has Python threads of these names."""

    def forked(self, key: int, pid: int) -> None:
        """The child ``key`` exists."""

    def fork_failed(self, key: int, reason: str) -> None:
        """The child ``key`` will not come."""

    def template_gone(self, template: TemplateHandle, death: Death) -> None:
        """It is dead and its last frames were served."""


class Templates:
    """Effects only; what should exist is decided elsewhere."""

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        clock: Callable[[], float],
        teller: Teller,
        events: TemplateEvents,
        witness: OomWitness,
    ) -> None:
        self._loop, self._reaper, self._clock = loop, reaper, clock
        self._teller, self._events, self._witness = teller, events, witness
        self._alive: dict[int, TemplateHandle] = {}  # by pid

    def __len__(self) -> int:
        return len(self._alive)

    def view(self) -> dict[int, bool]:
        """Generations with a template that is not leaving, and whether it is ready."""
        return {t.generation: t.ready for t in self._alive.values() if not t.leaving}

    def info(self) -> list[dict[str, Any]]:
        """For ``status``."""
        return [
            {"pid": t.pid, "generation": t.generation, "state": t.state.name} for t in self._alive.values()
        ]

    def find(self, generation: int) -> TemplateHandle | None:
        """The template of a generation, unless it is leaving."""
        for template in self._alive.values():
            if template.generation == generation and not template.leaving:
                return template
        return None

    def start(self, generation: int, spec: Spec) -> None:
        """Exec a template.  Raises OSError."""
        outlet = self._teller.open()
        try:
            template = TemplateHandle(generation, spec, self._reaper, outlet)
        except OSError:
            outlet.close()
            raise
        self._alive[template.pid] = template
        self._loop.add_reader(template.control.fileno(), self._on_readable, template)
        template.outlet.listen(template)
        self._reaper.watch(template.pid, partial(self._on_exit, template))
        template.due.enter("INITIALISED", self._clock() + spec.boot_timeout)

    def retire(self, generation: int) -> None:
        """Let the template of a generation go."""
        template = self.find(generation)
        if template is not None:
            template.wanted_dead = True
            template.apply(TemplateEvent.RETIRE)
            self._expect_exit(template)

    def overdue(self, generation: int, reason: str) -> None:
        """The template of a generation does not answer: dump and kill it, and let another one start."""
        template = self.find(generation)
        if template is not None and template.due.kill == NEVER:
            self._give_up(template, reason)

    def kill(self) -> None:
        """KILL them all."""
        for template in self._alive.values():
            template.wanted_dead = True
            template.apply(TemplateEvent.KILL)

    def next_deadline(self) -> float:
        """The earliest moment at which ``tick`` has something to do."""
        return min((template.due.next() for template in self._alive.values()), default=NEVER)

    def tick(self, now: float) -> None:
        """Dump and kill whoever is over its limit."""
        for template in list(self._alive.values()):
            due = template.due
            if due.kill <= now:
                due.phase_over()
                template.apply(TemplateEvent.KILL)
            elif due.phase <= now:
                self._give_up(template, f"not {due.phase_name} within {template.spec.boot_timeout:g}s")

    def _give_up(self, template: TemplateHandle, reason: str) -> None:
        template.failure = template.failure or reason
        logger.error("%s: %s; its stacks follow", template.name(), template.failure)
        template.dump()
        template.due.phase, template.due.kill = NEVER, self._clock() + DUMP_GRACE

    def _on_readable(self, template: TemplateHandle) -> None:
        if not self._read(template):
            self._loop.remove_reader(template.control.fileno())
            template.listening = False

    def _read(self, template: TemplateHandle) -> bool:
        """Serve the frames that wait; False at the end of the file."""
        while True:
            try:
                frame = template.read()
                if frame is None:
                    return False
                self._serve(template, *frame)
            except BlockingIOError:
                return True
            except (ProtocolError, msgspec.MsgspecError) as exc:
                template.failure = f"protocol error: {exc}"
                template.apply(TemplateEvent.KILL)
                return False

    def _serve(self, template: TemplateHandle, kind: int, header: bytes, body: bytes) -> None:
        if kind == Kind.FORKED:
            self._events.forked(*_decode_forked(header))
        elif kind == Kind.INITIALISED:
            template.apply(TemplateEvent.INITIALISED)
            template.due.enter("READY", self._clock() + template.spec.boot_timeout)
        elif kind == Kind.READY:
            self._on_ready(template, header)
        elif kind == Kind.FAILED:
            key, reason, traceback = _decode_failed(header)
            if key is not None:
                self._events.fork_failed(key, reason)
                return
            template.told, template.failure, template.traceback = True, reason, traceback
            template.apply(TemplateEvent.FAILED)
            self._expect_exit(template)
        else:
            raise ProtocolError(f"a template sent a frame of kind {kind}")

    def _on_ready(self, template: TemplateHandle, header: bytes) -> None:
        told = _decode_ready(header)
        template.outlet.end(START, None, told["printed"])
        template.was_ready = True
        template.apply(TemplateEvent.READY)
        template.due.phase_over()
        self._events.template_ready(template, told["table"], told["threads"])

    def _expect_exit(self, template: TemplateHandle) -> None:
        template.due.enter("gone", self._clock() + template.spec.boot_timeout)

    def _on_exit(self, template: TemplateHandle, status: int) -> None:
        if template.listening:
            self._read(template)
            self._loop.remove_reader(template.control.fileno())
        template.failure = template.failure or self._witness.explain(status)
        template.apply(TemplateEvent.EXITED)
        template.close()
        del self._alive[template.pid]
        self._events.template_gone(template, template.death(status))
