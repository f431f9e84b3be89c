"""The turnstile: what waits in one lane because its task may begin only so often.

Of each limited task at most one request stands among those that are ready for a slot: the *next* one.  It
takes a token when it begins, not before, so that a pool without a free slot saves none up.  All others wait
out of the way of other tasks.  As many as have their turn soon wait here, where a timer at the time of the
next token is all that they cost; the rest in the broker, from where they come again, to any node.

Units: seconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.delivery.request import Request, Stage

if TYPE_CHECKING:
    from workerd.delivery.lane import Lane

SOON = 60.0
"""Whose turn comes within this time waits here."""

FEW, MANY = 10, 1000
"""So many of a task wait here however far away their turns are, and at most."""

LEAST = 0.005
"""Until a bucket that has refused a token is asked again, whatever it promises."""


class Turn(msgspec.Struct):
    """The requests of one task: the ``next`` one in the lane, all others here."""

    next: Request | None = None
    waiting: deque[Request] = msgspec.field(default_factory=deque)
    timer: Any = None


class Turnstile:
    """For one lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane, self._desk, self._rates = lane, lane.dispatcher, lane.dispatcher.rates
        self._turns: dict[str, Turn] = {}

    def __len__(self) -> int:
        return sum(len(turn.waiting) for turn in self._turns.values())

    def waiting(self, task: str) -> int:
        """Requests of ``task`` that wait for their turn."""
        turn = self._turns.get(task)
        return len(turn.waiting) if turn is not None else 0

    def holds(self, request: Request) -> bool:
        """A request has come: True when it is kept here, because others of its task are before it."""
        task = request.message.task
        if task not in self._rates.limited or request.acknowledged:
            return False
        turn = self._turns.get(task)
        if turn is None:
            self._turns[task] = Turn(request)
            return False
        if not self._is_far(turn, task) or not self._desk.parking.send_away(request):
            request.stage = Stage.LIMITED
            turn.waiting.append(request)
            self._desk.parking.takes_no_slot(request)
        return True

    def passes(self, request: Request) -> bool:
        """There is a slot for it: take its token, or keep it here until there is one."""
        task = request.message.task
        if request.admitted or request.acknowledged or task not in self._rates.limited:
            return True
        turn = self._turns.setdefault(task, Turn())
        was_next = turn.next is request
        if was_next:
            turn.next = None
        request.admitted = self._rates.take(task)
        if not request.admitted:
            request.stage = Stage.LIMITED
            if was_next:
                turn.waiting.appendleft(request)
            else:
                turn.waiting.append(request)
        self._call_next(task, turn, least=0.0 if request.admitted else LEAST)
        return request.admitted

    def left(self, request: Request) -> None:
        """It goes without having begun."""
        turn = self._turns.get(request.message.task)
        if turn is not None and turn.next is request:
            turn.next = None
            self._call_next(request.message.task, turn)

    def keep_only_held(self) -> None:
        """Forget what has left the table, or is on its way out of it."""
        for task, turn in list(self._turns.items()):
            turn.waiting = deque(r for r in turn.waiting if self._is_held(r, Stage.LIMITED))
            if turn.next is not None and not self._is_held(turn.next, Stage.RESERVED):
                turn.next = None
            self._call_next(task, turn)

    def changed(self, task: str) -> None:
        """Its limit is another one, or gone."""
        turn = self._turns.get(task)
        if turn is None:
            return
        self._cancel(turn)
        if task in self._rates.limited:
            self._call_next(task, turn)
        else:
            del self._turns[task]
            for request in reversed(turn.waiting):
                request.stage = Stage.RESERVED
                self._lane.ready.appendleft(request)
        self._lane.pump()

    def _is_far(self, turn: Turn, task: str) -> bool:
        """Whether the turn of one more is."""
        count = len(turn.waiting)
        return count >= FEW and (count >= MANY or self._rates.wait(task, count + 1) > SOON)

    def _call_next(self, task: str, turn: Turn, least: float = 0.0) -> None:
        if not turn.waiting:
            self._cancel(turn)
            if turn.next is None:
                self._turns.pop(task, None)
        elif turn.next is None and turn.timer is None:
            delay = max(self._rates.wait(task), least)
            turn.timer = self._desk.timer.call_after(delay, self._due, (turn,), priority=6)

    def _due(self, turn: Turn) -> None:
        """Its next request comes before all that are ready: it has waited for longer."""
        turn.timer, turn.next = None, turn.waiting.popleft()
        turn.next.stage = Stage.RESERVED
        self._lane.ready.appendleft(turn.next)
        self._lane.pump()

    def _cancel(self, turn: Turn) -> None:
        if turn.timer is not None:
            turn.timer.cancel()
            turn.timer = None

    def _is_held(self, request: Request, stage: Stage) -> bool:
        return request.stage is stage and self._desk.table.get(request.number) is request
