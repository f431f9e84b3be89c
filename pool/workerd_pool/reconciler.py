"""Reconciler: the only thing that starts or retires children and templates.

Everybody else changes what is *wanted* (the number, the generation, closing) or reports what *is*;
each change ends in ``reconcile``, which asks the pure ``plan`` and performs its actions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from workerd_pool.alarm import Alarm
from workerd_pool.budget import RestartBudget
from workerd_pool.cgroup import Cgroup
from workerd_pool.child_handle import ChildHandle
from workerd_pool.contract import Listener, Loop, Spec
from workerd_pool.crew import Crew
from workerd_pool.death import Cause, Death, Deaths
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.enforcer import Enforcer
from workerd_pool.generations import Generations
from workerd_pool.guard import MemoryGuard
from workerd_pool.log import logger, tell
from workerd_pool.plan import (
    Action,
    Fork,
    Promote,
    Retire,
    RetireTemplate,
    StartTemplate,
    View,
    plan,
    retired_by,
)
from workerd_pool.reaper import Reaper
from workerd_pool.teller import Teller
from workerd_pool.template_handle import TemplateHandle
from workerd_pool.templates import Templates
from workerd_pool.witness import OomWitness

AGAIN = 0.05  # seconds until a template whose socket was full is asked again
LEAST_BUDGET = 5  # deaths within a window that are replaced at once, in the smallest pool


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
        self.generations = Generations(spec)
        self.teller = Teller(loop, listener)
        witness = OomWitness(cgroup, clock)
        self.crew = Crew(loop, reaper, clock, dispatcher, self.teller, self, witness)
        self.enforcer = Enforcer(self.crew, dispatcher, self, clock)
        self.guard = MemoryGuard(self.crew, self.enforcer, witness, clock)
        self.templates = Templates(loop, reaper, clock, self.teller, self, witness)
        self.child_budget = RestartBudget(LEAST_BUDGET)
        self.template_budget = RestartBudget(LEAST_BUDGET)
        self.degraded: str | None = None
        self.deaths = Deaths()
        self._told_empty = False
        self._reconciling = self._once_more = False
        self._alarm = Alarm(loop, clock, self._ring)
        dispatcher.alarm = self._alarm

    # -- what is wanted

    def want(self, number: int) -> None:
        """This many children."""
        self.wanted = number
        self._dispatcher.want(number)
        self.child_budget.limit = max(LEAST_BUDGET, 2 * number)
        self.reconcile()

    def retired_by(self, number: int) -> list[ChildHandle]:
        """The children that ``want(number)`` would retire now."""
        keys = set(retired_by(self._view(), number))
        return [child for child in self.crew if child.key in keys]

    def begin(self, spec: Spec | None) -> int:
        """A new generation; return its number."""
        overtaken = self.generations.incoming
        generation = self.generations.begin(spec)
        if overtaken:
            reason = f"overtaken by generation {generation}"
            tell(self._listener.on_generation_failed, overtaken, reason, "")
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
                self._once_more = False
                for action in plan(self._view()):
                    self._perform(action)
                self._tell_degraded()
        finally:
            self._reconciling = False
        self._set_alarm()
        if self.closing and not self._told_empty and not len(self.crew) and not len(self.templates):
            self._told_empty = True
            self._alarm.cancel()
            self.teller.close()
            self._loop.call_soon(tell, self._listener.on_empty)

    def _view(self) -> View:
        now = self._clock()
        starting = sum(not child.was_ready for child in self.crew)
        templates = self.templates.view()
        return View(
            wanted=self.wanted,
            current=self.generations.current,
            incoming=self.generations.incoming,
            templates=templates,
            children=[child.view() for child in self.crew],
            forks=self.child_budget.allowed(now, starting),
            starts=self.template_budget.allowed(now, sum(not ready for ready in templates.values())),
            closing=self.closing,
        )

    def _perform(self, action: Action) -> None:
        match action:
            case StartTemplate(generation):
                self._start_template(generation)
            case RetireTemplate(generation):
                self.templates.retire(generation)
            case Fork(generation, slot):
                self._fork(generation, slot)
            case Retire(key):
                self.crew.retire(key)
            case Promote():
                self._promote()

    def _start_template(self, generation: int) -> None:
        try:
            self.templates.start(generation, self.generations.spec(generation))
        except OSError as exc:
            reason = f"the template cannot be started: {exc}"
            if generation == self.generations.incoming:
                self._fail(generation, reason, "")
            else:
                self.template_budget.died(self._clock(), reason, ready=False)

    def _fork(self, generation: int, slot: int) -> None:
        template = self.templates.find(generation)
        if template is None:
            return
        try:
            if not self.crew.fork(template, slot, self.generations.spec(generation)):
                self._alarm.at(self._clock() + AGAIN)
        except OSError as exc:
            self.child_budget.died(self._clock(), f"a child cannot be made: {exc}", ready=False)

    def _promote(self) -> None:
        table = self.generations.promote()
        generation = self.generations.current
        self._dispatcher.prefer = generation
        # New code is a new chance.
        self.child_budget = RestartBudget(self.child_budget.limit)
        self.template_budget = RestartBudget(LEAST_BUDGET)
        self._once_more = True
        tell(self._listener.on_up, generation, table)

    def _fail(self, generation: int, reason: str, traceback: str) -> None:
        self.generations.drop(generation)
        # Not from inside reconcile: the host may call reload() at once.
        self._loop.call_soon(tell, self._listener.on_generation_failed, generation, reason, traceback)

    def _tell_degraded(self) -> None:
        reason = self.template_budget.reason or self.child_budget.reason
        if self.closing:
            reason = None
        if reason != self.degraded:
            self.degraded = reason
            tell(self._listener.on_degraded, reason)

    # -- time

    def _ring(self, now: float) -> None:
        self.enforcer.tick(now)
        self.guard.tick(now)
        self.templates.tick(now)
        self._dispatcher.relieve(now)
        self.reconcile()

    def _set_alarm(self) -> None:
        now = self._clock()
        self._alarm.at(self.enforcer.next_deadline())
        self._alarm.at(self.templates.next_deadline())
        self._alarm.at(self.child_budget.next_change(now))
        self._alarm.at(self.template_budget.next_change(now))

    # -- what the crew and the templates tell

    def child_ready(self, child: ChildHandle) -> None:
        """One more child takes jobs."""
        self.guard.ready(child, self._clock())
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
        if not (child.wanted_dead and death.cause is Cause.EXIT):
            self.deaths.record(self._clock(), death, child.current.title if child.current else "")
        if child.generation == self.generations.incoming and not child.wanted_dead:
            self._fail(child.generation, f"its first child: {death.words}", child.traceback)
        elif not child.wanted_dead:
            logger.warning("%s died: %s", child.name(), death.words)
            if child.traceback:
                logger.warning("%s could not start:\n%s", child.name(), child.traceback)
            self.child_budget.died(self._clock(), death.words, ready=child.was_ready)
        self.reconcile()
        self._dispatcher.settle()

    def forked(self, key: int, pid: int) -> None:
        """A template has forked a child."""
        self.crew.forked(key, pid)

    def fork_failed(self, key: int, reason: str) -> None:
        """A template could not fork."""
        self.crew.fork_failed(key, reason)

    def template_ready(self, template: TemplateHandle, table: dict[str, Any]) -> None:
        """A template can fork."""
        self.generations.tell_table(template.generation, table)
        self.reconcile()

    def template_gone(self, template: TemplateHandle, death: Death) -> None:
        """Count the death unless it was wanted; the running children do not notice."""
        generation = template.generation
        if generation == self.generations.incoming and not template.wanted_dead:
            when = "its template" if template.was_ready else "while it imported the code"
            reason = death.words if template.told else f"{when}: {death.words}"
            self._fail(generation, reason, template.traceback)
        elif not template.wanted_dead:
            logger.warning("%s died: %s\n%s", template.name(), death.words, template.traceback)
            self.template_budget.died(self._clock(), f"the template: {death.words}", ready=template.was_ready)
        self.crew.orphaned(generation)
        self.reconcile()
