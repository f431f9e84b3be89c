"""What a step may leave behind in its process and its event loop, to compare before and after."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from workerd.worker.loop.naming import callback_name


@dataclass(frozen=True, slots=True)
class Held:
    """What is there at one moment: each thing by its identity, with words for people."""

    things: Mapping[Any, str]

    @classmethod
    def by(cls, hub: Any) -> Self:
        """What this process and this hub hold now."""
        found: dict[Any, str] = {}
        for fd, (callback, _) in hub.readers.items():
            found["reader", fd] = f"a reader of descriptor {fd}, {callback_name(callback)}"
        for fd, (callback, _) in hub.writers.items():
            found["writer", fd] = f"a writer of descriptor {fd}, {callback_name(callback)}"
        for _, _, entry in hub.timer.queue:
            if not entry.canceled:
                found["timer", id(entry)] = f"a timer of {callback_name(entry)}"
        for callback in hub.on_tick:
            found["tick", id(callback)] = f"{callback_name(callback)} at each turn of the loop"
        for thread in threading.enumerate():
            found["thread", thread.ident] = f"the thread {thread.name!r}"
        for child in psutil.Process().children():
            found["process", child.pid] = f"the process {child.pid}"
        for number, target in descriptors().items():
            found["descriptor", number, target] = f"descriptor {number} ({target})"
        return cls(found)

    def beyond(self, before: Held) -> list[str]:
        """In words, what is here and was not before."""
        return [words for thing, words in self.things.items() if thing not in before.things]


def descriptors() -> dict[str, str]:
    """What is open in this process, by its number."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:  # the one of this very look
            continue
    return found
