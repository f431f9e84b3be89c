"""The base class of backends that keep bytes under keys, of our own and of installed packages.

A backend is three methods: ``get``, ``set`` and ``delete``.  They may block and may raise what they like: the
daemon calls them in a thread of its own, one after the other, and tries again what has failed.  Keys and
values are those of Celery's backends of this kind, so a class of Celery's and one of ours can share a store.

Units:   seconds.
Errors:  what the three methods raise goes to the caller of ``get_meta`` and the others; in the daemon it is
         told in the log, and the result is kept and tried again.  UnstorableError ends that.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from workerd.backends.base import BackendOptions, Meta, not_in_time, pending
from workerd.backends.stored import is_success
from workerd.protocol.result import group_key, task_key
from workerd.protocol.states import READY_STATES, SUCCESS

FIRST_LOOK, GROWTH, LAST_LOOK = 0.01, 1.5, 0.5
"""Between the looks of who waits: a store that is only bytes under keys tells nobody."""


class KeyValueBackend(ABC):
    """Results behind one URL; its scheme is the name of the entry point in the group ``workerd.backends``."""

    enabled = shared = True
    chords = None
    """It cannot count at once with others: ``celery.chord_unlock`` looks for the parts of chords."""

    def __init__(self, url: str, options: BackendOptions) -> None:
        """Does not connect yet.  Raises ConfigError for a URL that cannot be meant."""
        self.url, self.options = url, options

    # -- what a backend is ---------------------------------------------------------------------

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """What is under ``key``; None when nothing is."""

    @abstractmethod
    def set(self, key: str, data: bytes, lifetime: int | None) -> None:
        """Keep ``data``, whole or not at all, for ``lifetime`` seconds; None is for ever.

        Raises UnstorableError for what it will never take."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove what is under ``key``; nothing there is no error."""

    def clean_up(self) -> None:  # noqa: B027 (not every store needs it)
        """Remove what has outlived its time, where the store does not do so itself; hourly in a daemon."""

    def close(self) -> None:  # noqa: B027 (nor this)
        """Let go of every connection; may be called twice, and it may be used again afterwards."""

    # -- what is made of it --------------------------------------------------------------------

    def key(self, task_id: str) -> str:
        """The key of one result."""
        return task_key(task_id, self.options.prefix())

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The bytes that ``store`` keeps."""
        return self.options.coding.encode(meta)

    def decode(self, data: bytes) -> dict[str, Any]:
        """What ``encode`` has written."""
        return self.options.coding.decode(data)

    def save_group(self, group_id: str, data: bytes) -> None:
        """Keep which results a group has, as long as results."""
        self.set(group_key(group_id, self.options.prefix()), data, self.options.lifetime(SUCCESS))

    def load_group(self, group_id: str) -> bytes | None:
        """What was saved of a group."""
        return self.get(group_key(group_id, self.options.prefix()))

    def forget_group(self, group_id: str) -> None:
        """Remove what was saved of a group."""
        self.delete(group_key(group_id, self.options.prefix()))

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Keep an encoded meta; a stored SUCCESS stays."""
        key = self.key(task_id)
        stored = None if state == SUCCESS else self.get(key)
        # Not decoded: this runs in the daemon, and to unpickle is to run code.
        if stored is None or not is_success(stored, self.options.coding):
            self.set(key, data, self.options.lifetime(state))

    def get_meta(self, task_id: str) -> Meta:
        """What is known of a task; PENDING when nothing is."""
        data = self.get(self.key(task_id))
        return pending(task_id) if data is None else self.options.coding.decode(data)

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, soon after it has."""
        return next(self.wait_for_many((task_id,), timeout))[1]

    def wait_for_many(
        self, task_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, Meta]]:
        """Each task's id and meta soon after it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiting, pause = list(dict.fromkeys(task_ids)), FIRST_LOOK
        while waiting:
            metas = {task_id: self.get_meta(task_id) for task_id in waiting}
            ended = {task_id: meta for task_id, meta in metas.items() if meta["status"] in READY_STATES}
            yield from ended.items()
            waiting = [task_id for task_id in waiting if task_id not in ended]
            pause = FIRST_LOOK if ended else min(pause * GROWTH, LAST_LOOK)
            left = pause if deadline is None else deadline - time.monotonic()
            if waiting and left <= 0:
                raise not_in_time(waiting, timeout)
            if waiting:
                time.sleep(min(pause, left))

    def forget(self, task_id: str) -> None:
        """Remove a result."""
        self.delete(self.key(task_id))
