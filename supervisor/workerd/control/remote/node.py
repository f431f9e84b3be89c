"""What remote control needs of the daemon beside what operators need, and nothing more.

Units:  seconds; times that travel are Unix time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workerd.clock import LogicalClock
    from workerd.delivery import Request, Stage


class Node(Protocol):
    """The daemon as a member of a cluster; nothing here blocks but ``add_consumer``, which declares."""

    @property
    def hostname(self) -> str:
        """The node's name."""

    @property
    def clock(self) -> LogicalClock:
        """The cluster's."""

    def held(self, stage: Stage) -> list[Request]:
        """The requests that have come so far, and no further."""

    def with_ids(self, ids: Collection[str]) -> list[Request]:
        """The requests of these ids that are here."""

    def tasks(self) -> Mapping[str, Any]:
        """What is known of each task that children can run, by its name; attributes as of a task."""

    def stats(self) -> dict[str, Any]:
        """Plain values about the daemon, its broker, its pool and its steps."""

    def queues(self) -> list[dict[str, Any]]:
        """The queues that are consumed, as kombu describes them."""

    def conf(self, with_defaults: bool) -> dict[str, Any]:
        """The app's settings, without secrets."""

    def report(self) -> str:
        """What somebody needs to know who is told of a problem, as text."""

    def memory(self) -> str:
        """The resident memory of the supervisor, for people."""

    def state(self) -> Any:
        """What commands of the app are given: ``app``, ``hostname``, ``consumer``."""

    # -- changes ---------------------------------------------------------------------------------

    def revoke(self, ids: Collection[str]) -> None:
        """Run none of these ids; what runs already goes on."""

    def revoked(self) -> list[str]:
        """The ids that will not be run, the oldest first."""

    def merge_revoked(self, ids: Sequence[str]) -> None:
        """Other nodes have revoked these."""

    def revoke_stamped(self, stamps: Mapping[str, Collection[Any]]) -> None:
        """Run nothing that bears one of these stamps."""

    def terminate(self, ids: Collection[str], kill: bool) -> list[str]:
        """End what is here of these ids; which ones that are."""

    def stamped(self, stamps: Mapping[str, Collection[Any]]) -> dict[str, dict[str, set[Any]]]:
        """Of what runs, the ids that bear one of these stamps, and which."""

    def rate_limit(self, task: str, rate: Any) -> None:
        """Begin not more runs of ``task`` in a time than ``rate`` says.

        Errors: UsageError for a rate that cannot be read."""

    def time_limit(self, task: str, soft: float | None, hard: float | None) -> None:
        """New time limits for ``task``; None for what it has of itself."""

    def add_consumer(self, queue: str, options: Mapping[str, Any]) -> None:
        """Consume ``queue`` from now on."""

    def cancel_consumer(self, queue: str) -> None:
        """Consume ``queue`` no more."""

    def task_events(self, on: bool) -> bool:
        """Send events of tasks, or do not; whether that is a change."""

    def heartbeat(self) -> None:
        """Send an event that says that the node is there."""

    def election(self, election_id: str, topic: str, action: Any) -> None:
        """Hold an election among the nodes."""
