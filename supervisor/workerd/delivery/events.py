"""What happens to tasks, for those who tell the cluster and the app's own receivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workerd.delivery.outcome import Outcome
    from workerd.delivery.request import Request
    from workerd.source.base import Delivery


class TaskEvents(Protocol):
    """Told at once, and never waits."""

    def received(self, request: Request) -> None:
        """Its message has come."""

    def started(self, request: Request) -> None:
        """A child has begun it."""

    def ended(self, request: Request, outcome: Outcome) -> None:
        """Its run has ended, as the child says."""

    def failed(self, request: Request, exception: Exception) -> None:
        """It has failed, as the supervisor has found."""

    def revoked(
        self, request: Request, *, terminated: bool = False, killed: bool = False, expired: bool = False
    ) -> None:
        """It does not run, or not any more, because somebody has said so or it came too late."""

    def told(self, request: Request, kind: str, fields: Mapping[str, Any]) -> None:
        """The task tells an event of its own."""

    def unreadable(self, delivery: Delivery) -> None:
        """A message cannot be read, so it is no task's."""


class Both:
    """Tells two of them, ``first`` first."""

    def __init__(self, first: TaskEvents, second: TaskEvents) -> None:
        self._first, self._second = self._parts = first, second

    # The first three without a loop: each comes with every task.

    def received(self, request: Request) -> None:
        self._first.received(request)
        self._second.received(request)

    def started(self, request: Request) -> None:
        self._first.started(request)
        self._second.started(request)

    def ended(self, request: Request, outcome: Outcome) -> None:
        self._first.ended(request, outcome)
        self._second.ended(request, outcome)

    def failed(self, request: Request, exception: Exception) -> None:
        for part in self._parts:
            part.failed(request, exception)

    def revoked(
        self, request: Request, *, terminated: bool = False, killed: bool = False, expired: bool = False
    ) -> None:
        for part in self._parts:
            part.revoked(request, terminated=terminated, killed=killed, expired=expired)

    def told(self, request: Request, kind: str, fields: Mapping[str, Any]) -> None:
        for part in self._parts:
            part.told(request, kind, fields)

    def unreadable(self, delivery: Delivery) -> None:
        for part in self._parts:
            part.unreadable(delivery)
