"""Reconciler: the only thing that starts or retires children and templates.

Everybody else changes what is *wanted* (the number, the generation, closing) or reports what *is*;
each change ends in ``reconcile``, which asks the pure ``plan`` and performs its actions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from workerd_pool.alarm import Alarm
from workerd_pool.cgroup import Cgroup
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Listener, Loop, Spec
from workerd_pool.crew import Crew
from workerd_pool.death import Cause, Death, Deaths
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.enforcer import Enforcer
from workerd_pool.generations import Generations
from workerd_pool.guard import MemoryGuard
from workerd_pool.health import Health
from workerd_pool.journal import Entry, Happened, Journal
from workerd_pool.log import logger, tell
from workerd_pool.plan import (
    Action,
    Fork,
    Pass,
    Promote,
    Retire,
    RetireTemplate,
    StartTemplate,
    View,
    exchange,
    is_whole,
    plan,
    retired_by,
)
from workerd_pool.reaper import Reaper
from workerd_pool.rollout import Failure, Rollout
from workerd_pool.teller import Teller
from workerd_pool.template_handle import TemplateHandle
from workerd_pool.templates import Templates
from workerd_pool.witness import OomWitness

AGAIN = 0.05  # seconds until a template whose socket was full is asked again
THREADS = (
    "The code of generation %d has started Python threads while it was imported (%s), which a fork does not "
    "copy: its children are spawned, and each imports the code itself. "
    "Start threads in worker_process_init instead"
)


class Reconciler:
    """Wanted state, actual state, and the alarm that drives everything with a deadline."""

    def __init__(
        self,
        loop: Loop,
        spec: Spec,
        listener: Listener,
        reaper: Reaper,
        clock: Callable[[], float],
        dispatcher: Dispatcher,
        cgroup: Cgroup,
    ) -> None:
        self._loop, self._listener, self._clock = loop, listener, clock
        self._dispatcher = dispatcher
        self.wanted = 0
        self.started = False
        self.closing = False
        self.journal = Journal()
        self.generations = Generations(spec)
        self.teller = Teller(loop, listener)
        witness = OomWitness(cgroup, clock)
        self.crew = Crew(loop, reaper, clock, dispatcher, self.teller, self, witness)
        self.enforcer = Enforcer(self.crew, dispatcher, self, clock)
        self.guard = MemoryGuard(self.crew, self.enforcer, witness, clock)
        self.templates = Templates(loop, reaper, clock, self.teller, self, witness)
        self.health = Health(clock, self._health_changed)
        self.rollout = Rollout(self, loop, listener, dispatcher)
        self.deaths = Deaths()
        self._told_empty = self._reconciling = self._once_more = False
        self._alarm = Alarm(loop, clock, self._ring)
        dispatcher.alarm, dispatcher.on_rest = self._alarm, self.reconcile
        dispatcher.beginnings.start(loop, clock)

    def note(self, happened: Happened, generation: int = 0, slot: int = 0, text: str = "") -> None:
        """Write into the journal."""
        ready = sum(child.ready for child in self.crew)
        self.journal.add(Entry(self._clock(), happened, generation, slot, ready, self.wanted, text))

    # -- what is wanted

    def want(self, number: int) -> None:
        """This many children."""
        self.wanted = number
        self._dispatcher.want(number)
        self.health.resize(number)
        self.note(Happened.WANTED)
        self.reconcile()

    def retired_by(self, number: int) -> list[ChildHandle]:
        """The children that ``want(number)`` would retire now."""
        keys = set(retired_by(self._view(self._clock()), number))
        return [child for child in self.crew if child.key in keys]

    def begin(self, spec: Spec | None, *, hold: bool = False) -> int:
        """A new generation; return its number."""
        generation = self.rollout.begin(spec, hold=hold)
        self.reconcile()
        return generation

    def close(self) -> None:
        """Nothing is wanted any more; who has a job finishes it."""
        self.closing = True
        self.reconcile()
        self._dispatcher.return_backlog()

    def terminate(self) -> None:
        """Nothing is wanted any more, now."""
        self.closing = True
        for child in list(self.crew):
            self.crew.kill(child, Cause.POOL, "the pool was terminated")
        self.templates.kill()
        self.reconcile()
        self._dispatcher.return_backlog()

    # -- the loop that brings what is to what is wanted

    def reconcile(self) -> None:
        """Plan and perform.  Cheap when there is nothing to do."""
        if not self.started:
            return
        if self._reconciling:
            # The host was told something and asks for something else: after this round.
            self._once_more = True
            return
        self._reconciling = self._once_more = True
        try:
            while self._once_more:
                self._once_more, now = False, self._clock()
                for action in plan(self._view(now)):
                    self._perform(action)
                if self.health.degraded and is_whole(self._view(now)):
                    self.health.whole()
                self.health.tell(closing=self.closing)
                if not self._once_more and not self.closing:
                    self._once_more = self.rollout.follow(exchange(self._view(now)))
        finally:
            self._reconciling = False
        self._set_alarm(now)
        if self.closing and not self._told_empty and not len(self.crew) and not len(self.templates):
            self._told_empty = True
            self._alarm.cancel()
            self.teller.close()
            self._loop.call_soon(tell, self._listener.on_empty)

    def _view(self, now: float) -> View:
        starting = sum(not child.was_ready for child in self.crew)
        templates = self.templates.view()
        importing = sum(not ready for ready in templates.values())
        return View(
            wanted=self.wanted,
            current=self.generations.current,
            incoming=self.generations.incoming,
            previous=self.generations.previous,
            templates=templates | dict.fromkeys(self.generations.spawning(), True),
            children=[child.view() for child in self.crew],
            forks=self.health.children.allowed(now, starting),
            starts=self.health.templates.allowed(now, importing),
            closing=self.closing,
            held=self.generations.held,
        )

    def _perform(self, action: Action) -> None:
        match action:
            case StartTemplate(generation):
                self._start_template(generation)
            case RetireTemplate(generation):
                self.templates.retire(generation)
            case Fork(generation, slot):
                self._make_child(generation, slot)
            case Retire(key):
                child = self.crew.retire(key)
                self.note(Happened.RETIRED, child.generation, child.slot)
            case Promote():
                self.rollout.promote()
                self._once_more = True
            case Pass():
                self.rollout.passed()

    def _start_template(self, generation: int) -> None:
        try:
            self.templates.start(generation, self.generations.spec(generation))
        except OSError as exc:
            self.rollout.template_failed(generation, Failure(f"its template cannot be started: {exc}"))
        else:
            self.note(Happened.TEMPLATE_STARTED, generation)

    def _make_child(self, generation: int, slot: int) -> None:
        template = self.templates.find(generation)
        if template is None and not self.generations.spawns(generation):
            return
        tell(self._listener.on_making)
        try:
            made = self.crew.make(generation, slot, self.generations.spec(generation), template)
        except OSError as exc:
            self.rollout.child_not_made(generation, f"a child cannot be made: {exc}")
            return
        if made:
            self.note(Happened.ASKED, generation, slot)
        else:
            self._alarm.at(self._clock() + AGAIN)

    # -- time

    def _health_changed(self, reason: str | None) -> None:
        self.note(Happened.DEGRADED if reason else Happened.HEALTHY, text=reason or "")
        tell(self._listener.on_degraded, reason)

    def _ring(self, now: float) -> None:
        for look in (self.enforcer.tick, self.guard.tick, self.templates.tick, self._dispatcher.relieve):
            # Whatever one of them meets: the others have their turn, and the alarm is set again.
            tell(look, now)
        self.reconcile()

    def _set_alarm(self, planned: float) -> None:
        self._alarm.at(self.enforcer.next_deadline())
        self._alarm.at(self.templates.next_deadline())
        self._alarm.at(self._dispatcher.silence.due)
        # What has become allowed since the plan was made is due at once.
        self._alarm.at(self.health.next_change(planned))

    # -- what the crew and the templates tell

    def child_ready(self, child: ChildHandle) -> None:
        """One more child takes jobs."""
        self.guard.ready(child, self._clock())
        self.health.children.came_up()
        self.note(Happened.READY, child.generation, child.slot)
        self.reconcile()

    def child_spent(self, child: ChildHandle) -> None:
        """It is replaced; no death counts."""
        # One that has served its number of jobs still has the last of them, and is nothing to write about.
        level = logging.DEBUG if child.jobs else logging.INFO
        logger.log(level, "%s is replaced: %s", child.name(), child.spent)
        self.reconcile()

    def child_due(self, when: float) -> None:
        """Something of a child is due then."""
        self._alarm.at(when)

    def fork_overdue(self, child: ChildHandle) -> None:
        """A template that does not fork any more is of no use."""
        self.templates.overdue(child.generation, f"no fork within {child.spec.boot_timeout:g}s")

    def child_gone(self, child: ChildHandle, death: Death) -> None:
        """Remember the death unless it just left, count it if nobody wanted it, and replace the child."""
        self.note(Happened.GONE, child.generation, child.slot, death.words)
        if not (child.wanted_dead and death.cause is Cause.EXIT):
            self.deaths.record(self._clock(), death, child.current.title if child.current else "")
        if not child.wanted_dead:
            self.rollout.child_failed(child, death.words)
        self.reconcile()
        self._dispatcher.settle()

    def forked(self, key: int, pid: int) -> None:
        """A template has forked a child."""
        self.crew.forked(key, pid)

    def fork_failed(self, key: int, reason: str) -> None:
        """A template could not fork."""
        self.crew.fork_failed(key, reason)

    def template_ready(self, template: TemplateHandle, table: dict[str, Any], threads: list[str]) -> None:
        """The entry is imported; where threads stand in the way of a fork the template has done its work."""
        generation = template.generation
        self.health.templates.came_up()
        self.note(Happened.TEMPLATE_READY, generation, text=", ".join(threads))
        if self.generations.tell(generation, table, spawns=bool(threads)):
            self.rollout.renew(table)
        if threads:
            logger.warning(THREADS, generation, ", ".join(threads))
            self.templates.retire(generation)
        self.reconcile()

    def template_gone(self, template: TemplateHandle, death: Death) -> None:
        """Count the death unless it was wanted; the running children do not notice."""
        generation = template.generation
        self.note(Happened.TEMPLATE_GONE, generation, text=death.words)
        if not template.wanted_dead:
            when = "its template" if template.was_ready else "while it imported the code"
            reason = death.words if template.told else f"{when}: {death.words}"
            failure = Failure(reason, template.traceback, template.was_ready, final=template.told)
            self.rollout.template_failed(generation, failure)
        self.crew.orphaned(generation)
        self.reconcile()
