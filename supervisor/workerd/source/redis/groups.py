"""The groups of queues of one source, made when they are first named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workerd.source.redis.group import Group


class Groups:
    """``make(name, tracking)`` makes a group; ``tracking`` tells whether the server tells of changes."""

    def __init__(self, make: Callable[[str, bool], Group]) -> None:
        self._make = make
        self._groups: dict[str, Group] = {}
        self.tracking = False

    def __getitem__(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = self._make(name, self.tracking)
        return self._groups[name]

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    @property
    def queues(self) -> list[str]:
        """Of all groups, sorted."""
        return sorted(queue for group in self for queue in group.looks.queues)

    @property
    def rooms(self) -> dict[str, int]:
        return {name: group.room for name, group in self._groups.items()}

    @property
    def looking(self) -> int:
        """Looks whose answers are on their way."""
        return sum(group.looks.under_way for group in self)

    def remove_queue(self, name: str) -> None:
        for group in self:
            group.looks.remove(name)

    def drain(self) -> None:
        for group in self:
            group.fetch(0)

    def wait(self) -> None:
        for group in self:
            group.wait()

    def look(self) -> int:
        """A round has come; return the number of looks that were sent."""
        return sum([group.look() for group in self])

    def look_anyway(self) -> None:
        for group in self:
            group.look_anyway()

    def pushed(self, push: list[Any]) -> None:
        for group in self:
            group.pushed(push)

    def tracked(self, replies: list[Any]) -> None:
        """The server has answered whether it tells of changes."""
        self.tracking = replies == [b"OK"]
        for group in self:
            group.looks.tracking = self.tracking
            group.wait()

    def stop(self) -> None:
        for group in self:
            group.stop()
