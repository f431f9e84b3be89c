"""Rollout: the fate of generations, from their beginning to the end of the one before.

A generation that fails is dropped: on trial at once, later as long as children of the one before
are there to go on.  Only the first one of all, which has nothing to go back to, is tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from workerd_pool.contract import Listener, Loop, Spec
from workerd_pool.dispatcher import Dispatcher
from workerd_pool.generations import Generations
from workerd_pool.health import Health
from workerd_pool.journal import Happened
from workerd_pool.log import logger, tell
from workerd_pool.plan import Exchange

if TYPE_CHECKING:
    from workerd_pool.child_handle import ChildHandle


class Failure(msgspec.Struct, frozen=True):
    """What became of a template.  ``final``: it would be the same the next time, as an import that fails."""

    reason: str
    traceback: str = ""
    ready: bool = False
    final: bool = False


class Owner(Protocol):
    """What the rollout needs of the reconciler."""

    generations: Generations
    health: Health

    def note(self, happened: Happened, generation: int = 0, slot: int = 0, text: str = "") -> None:
        """Write into the journal."""


class Rollout:
    """Decides what a death means for its generation, and tells the host what became of each."""

    def __init__(self, owner: Owner, loop: Loop, listener: Listener, dispatcher: Dispatcher) -> None:
        self._loop, self._listener, self._dispatcher = loop, listener, dispatcher
        self._generations, self._health, self._note = owner.generations, owner.health, owner.note

    def begin(self, spec: Spec | None, *, hold: bool = False) -> int:
        """A new generation; return its number."""
        generations = self._generations
        overtaken = generations.incoming
        generation = generations.begin(spec, hold=hold)
        self._note(Happened.BEGUN, generation)
        if overtaken:
            self._tell_failed(overtaken, f"overtaken by generation {generation}", "")
        if not generations.current:
            self._health.renew()
        return generation

    def promote(self) -> None:
        """The generation on trial has passed it."""
        self._turn_to(self._generations.promote(), Happened.PROMOTED)

    def renew(self, table: dict[str, Any]) -> None:
        """The current generation has had to import its code again, which has changed since."""
        generation = self._generations.current
        logger.warning("The template of generation %d was started anew, and its code has changed", generation)
        tell(self._listener.on_up, generation, table)

    def passed(self) -> None:
        """The generation on trial has passed it, and waits for the host."""
        if self._generations.passed():
            self._note(Happened.PASSED, self._generations.incoming)
            tell(self._listener.on_passed, self._generations.incoming)

    def abandon(self, generation: int) -> bool:
        """The host does not want it any more; False when there is no way back."""
        generations = self._generations
        if generation and generation == generations.incoming:
            generations.drop(generation)
            self._note(Happened.FAILED, generation, text="abandoned")
        elif generation == generations.current and generations.previous:
            self._turn_to(generations.roll_back(), Happened.ROLLED_BACK)
        else:
            return False
        return True

    def follow(self, stage: Exchange) -> bool:
        """Tell how far the exchange of children has come; True when there is something new to plan."""
        generations = self._generations
        if not generations.rolling or stage is Exchange.MOVING:
            return False
        if not generations.settled:
            generations.settled = True
            self._note(Happened.SETTLED, generations.current)
            tell(self._listener.on_settled, generations.current)
        if stage is Exchange.SETTLED:
            return False
        if not generations.completed:
            generations.completed = True
            self._note(Happened.COMPLETE, generations.current)
            tell(self._listener.on_complete, generations.current)
        if generations.keeps_way_back:
            return False
        # The template that was kept for a way back may go.
        generations.complete()
        return True

    # -- failures

    def child_failed(self, child: ChildHandle, cause: str) -> None:
        """A child has died and nobody wished it."""
        generations = self._generations
        if child.generation == generations.incoming and generations.current:
            self._fail(child.generation, f"its first child: {cause}", child.traceback)
            return
        logger.warning("%s died: %s", child.name(), cause)
        if child.traceback:
            logger.warning("%s could not start:\n%s", child.name(), child.traceback)
        if child.generation == generations.current and self._rolls_back and not child.was_ready:
            self._roll_back(f"one of its children: {cause}", child.traceback)
        else:
            self._health.child_died(cause, ready=child.was_ready)

    def child_not_made(self, generation: int, cause: str) -> None:
        """This process had not what it takes; that is no fault of the code, but a trial has one try."""
        if generation == self._generations.incoming and self._generations.current:
            self._fail(generation, f"its first child: {cause}", "")
        else:
            self._health.child_died(cause, ready=False)

    def template_failed(self, generation: int, failure: Failure) -> None:
        """A template has died and nobody wished it, or there is none."""
        generations, reason = self._generations, failure.reason
        if generation == generations.incoming and (generations.current or failure.final):
            self._fail(generation, reason, failure.traceback)
            return
        text = f"{reason}\n{failure.traceback}".strip()
        logger.warning("Generation %d has lost its template: %s", generation, text)
        if generation == generations.previous:
            generations.no_way_back()
        elif generation == generations.current and self._rolls_back and not failure.ready:
            self._roll_back(reason, failure.traceback)
        else:
            self._health.template_died(reason, ready=failure.ready)

    @property
    def _rolls_back(self) -> bool:
        """A failure of the current generation is a failed reload, not yet a crash."""
        return self._generations.previous != 0 and not self._generations.completed

    def _roll_back(self, reason: str, traceback: str) -> None:
        failed = self._generations.current
        self._turn_to(self._generations.roll_back(), Happened.ROLLED_BACK)
        self._tell_failed(failed, reason, traceback)

    def _fail(self, generation: int, reason: str, traceback: str) -> None:
        self._generations.drop(generation)
        self._tell_failed(generation, reason, traceback)

    # -- telling

    def _turn_to(self, table: dict[str, Any], happened: Happened) -> None:
        generation = self._generations.current
        self._dispatcher.turn_to(generation)
        # New code is a new chance.
        self._health.renew()
        self._note(happened, generation)
        tell(self._listener.on_up, generation, table)

    def _tell_failed(self, generation: int, reason: str, traceback: str) -> None:
        self._note(Happened.FAILED, generation, text=reason)
        # Not from inside reconcile: the host may call reload() at once.
        self._loop.call_soon(tell, self._listener.on_generation_failed, generation, reason, traceback)
