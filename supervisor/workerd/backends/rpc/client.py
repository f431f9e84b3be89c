"""``rpc://`` for callers: results come as messages to a queue of this process.

Only who has sent a call hears of its result, and of those of the calls that its task sends.  Any thread may
wait; one of those that do reads the queue for all.  What has come is kept until it is forgotten, of the
newest ``MOST_KEPT`` tasks.

Units:   seconds.
Errors:  UnavailableError when the broker cannot be reached; ConfigError for a wait in a process that has sent
         nothing; TimeoutError.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from workerd.backends.base import BackendOptions, Meta, not_in_time, pending
from workerd.backends.outage import Outage
from workerd.backends.rpc.inbox import Connect, Inbox, LostError, open_inbox
from workerd.backends.url import unreachable
from workerd.errors import ConfigError
from workerd.protocol.envelope import MalformedError
from workerd.protocol.outgoing import new_id
from workerd.protocol.serial import ContentDisallowed, DecodeError, load
from workerd.protocol.states import READY_STATES

logger = logging.getLogger(__name__)

MOST_KEPT = 10_000


class RpcBackend:
    """Results of the calls of one app in this process; ``connect`` makes connections to its broker."""

    enabled, shared = True, False
    chords = None

    def __init__(self, connect: Connect, url: str, options: BackendOptions) -> None:
        self._connect, self._url, self.options = connect, url, options.messages()
        self._changed = threading.Condition()
        self._inherited: list[Inbox] = []
        self._begin()

    def _begin(self) -> None:
        """As a process that has sent nothing."""
        self._pid, self._name = os.getpid(), new_id()
        self._inbox: Inbox | None = None
        self._metas: OrderedDict[str, Meta] = OrderedDict()
        self._waiters: list[Waiter] = []
        self._reading = False

    def reply_to(self) -> str:
        """The queue for results, which is there from now on."""
        if self._inbox is not None and self._pid == os.getpid():
            return self._name
        with self._changed:
            if self._pid != os.getpid():
                if self._inbox is not None:
                    self._inherited.append(self._inbox)  # to close it would end the parent's
                self._begin()
            inbox = self._inbox or open_inbox(self._connect, self._name, self.options.lifetime("SUCCESS"))
            try:
                inbox.open()
            except LostError as exc:
                raise unreachable("result backend", self._url, exc.__cause__ or exc)  # noqa: B904
            self._inbox = inbox
        return self._name

    def encode(self, meta: Mapping[str, Any]) -> bytes:
        """The body of the message with ``meta``."""
        return self.options.coding.encode(meta)

    def store(self, task_id: str, state: str, data: bytes) -> None:
        """Keep it for this process alone: nobody else waits here."""
        with self._changed:
            self._keep(task_id, self.options.coding.decode(data))

    def get_meta(self, task_id: str) -> Meta:
        """The newest that has come of a task; PENDING when nothing has."""
        if self._listens():
            try:
                self._read(0.0)
            except LostError as exc:
                raise unreachable("result backend", self._url, exc.__cause__ or exc)  # noqa: B904
        return self._metas.get(task_id) or pending(task_id)

    def wait_for(self, task_id: str, timeout: float | None = None) -> Meta:
        """The meta of a task that has ended, as soon as it has."""
        return next(self.wait_for_many((task_id,), timeout))[1]

    def wait_for_many(
        self, task_ids: Iterable[str], timeout: float | None = None
    ) -> Iterator[tuple[str, Meta]]:
        """Each task's id and meta as soon as it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiter, outage = Waiter(task_ids), Outage()
        with self._changed:
            self._waiters.append(waiter)
            for task_id in tuple(waiter.waiting):
                if (meta := self._metas.get(task_id)) is not None:
                    waiter.take(task_id, meta)
        try:
            while waiter.waiting or waiter.ended:
                if waiter.ended:
                    yield waiter.ended.popleft()
                else:
                    self._hear(waiter, deadline, timeout, outage)
        finally:
            with self._changed:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def forget(self, task_id: str) -> None:
        """Keep its result no longer."""
        with self._changed:
            self._metas.pop(task_id, None)

    def decode(self, data: bytes) -> dict[str, Any]:
        """What ``encode`` has written."""
        return self.options.coding.decode(data)

    def save_group(self, group_id: str, data: bytes) -> None:
        """Raises ConfigError: nobody else could read it."""
        _refuse(group_id)

    def load_group(self, group_id: str) -> bytes | None:
        """Raises ConfigError likewise."""
        return _refuse(group_id)

    def forget_group(self, group_id: str) -> None:
        """Nothing: none is kept."""

    def close(self) -> None:
        """Delete the queue, if it is this process's."""
        inbox, self._inbox = self._inbox, None
        if inbox is not None and self._pid == os.getpid():
            inbox.close()

    # -- reading -------------------------------------------------------------------------------

    def _listens(self) -> bool:
        return self._inbox is not None and self._pid == os.getpid()

    def _hear(self, waiter: Waiter, deadline: float | None, timeout: float | None, outage: Outage) -> None:
        """Wait until something comes, or another thread has read it."""
        if not self._listens():
            task_id = next(iter(waiter.waiting))
            raise ConfigError(
                f"the result of task {task_id} does not come to this process",
                "rpc:// answers to who has sent the call, or has called the task that sent it; wait there",
            )
        left = 10.0 if deadline is None else deadline - time.monotonic()
        try:
            self._read(max(left, 0.0), waiter)
            outage.over()
        except LostError as exc:
            if not outage.wait(deadline):
                raise unreachable("result backend", self._url, exc.__cause__ or exc)  # noqa: B904
        if left <= 0 and not waiter.ended:
            raise not_in_time(waiter.waiting, timeout)

    def _read(self, timeout: float, waiter: Waiter | None = None) -> None:
        """Take all that has come; wait ``timeout`` for the first, or until another thread has read."""
        with self._changed:
            if waiter is not None and waiter.ended:
                return
            if self._reading:
                if timeout > 0:
                    self._changed.wait(timeout)
                return
            self._reading = True
        inbox = self._inbox
        assert inbox is not None
        try:
            while self._take(inbox, timeout):
                timeout = 0.0
        finally:
            with self._changed:
                self._reading = False
                self._changed.notify_all()

    def _take(self, inbox: Inbox, timeout: float) -> bool:
        """False when nothing came."""
        try:
            if (reply := inbox.take(timeout)) is None:
                return False
            meta = load(reply.body, reply.content_type, reply.content_encoding, self.options.coding.accept)
            if not isinstance(meta, dict) or not isinstance(meta.get("status"), str):
                raise DecodeError("it is no result")
        except (MalformedError, DecodeError, ContentDisallowed) as exc:
            logger.warning("A message in the queue for results cannot be read: %s", exc)
            return True
        with self._changed:
            self._keep(str(meta.get("task_id") or reply.task_id), meta)
        return True

    def _keep(self, task_id: str, meta: Meta) -> None:
        ended = meta["status"] in READY_STATES
        if not ended and self._metas.get(task_id, meta)["status"] in READY_STATES:
            return  # an older one, which was sent twice
        self._metas.pop(task_id, None)
        self._metas[task_id] = meta
        if len(self._metas) > MOST_KEPT:
            self._metas.popitem(last=False)
        for waiter in self._waiters:
            waiter.take(task_id, meta)


class Waiter:
    """The tasks that one caller waits for, and those of them that have ended since its last look."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        self.waiting = dict.fromkeys(task_ids)
        self.ended: deque[tuple[str, Meta]] = deque()

    def take(self, task_id: str, meta: Meta) -> None:
        """This has come."""
        if meta["status"] in READY_STATES and task_id in self.waiting:
            del self.waiting[task_id]
            self.ended.append((task_id, meta))


def _refuse(group_id: str) -> NoReturn:
    raise ConfigError(
        f"results are messages (rpc://), so none of group {group_id} are kept for others",
        "set result_backend to a store, for example redis://localhost/1",
    )
