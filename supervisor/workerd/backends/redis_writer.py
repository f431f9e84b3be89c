"""Results over a Redis link, many in one pipeline: see ``ResultWriter``.

What Celery's backend promises holds here too: a stored SUCCESS is never overwritten.  Every other state is
read before it is written, so the states of one task are stored one after the other.  One that nobody waits
for (progress) gives way to a newer one: a task that tells its progress in a loop fills no memory.

A single result that the server will not take, though it takes others, ends as a failure that says so (see
``refused``); while the server takes none at all, all wait.

Units:   seconds.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from workerd.backends.base import BackendOptions
from workerd.backends.refused import LARGE, PATIENCE, Result, is_full, tell_end
from workerd.backends.stored import is_success
from workerd.errors import WorkerdError
from workerd.protocol.result import task_key
from workerd.protocol.states import SUCCESS
from workerd.transport.address import RedisAddress
from workerd.transport.loop import Cancelable, Loop
from workerd.transport.redis import PROTOCOL_ERROR, Command, RedisLink, ReplyError, error_in
from workerd.transport.refusals import refusal

if TYPE_CHECKING:
    from workerd.backends.writer import Then

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.25
LONGEST_DELAY = 4.0
CONNECT_TIMEOUT = 2.0
REST = 10.0
"""An attempt that held up the loop (a TLS handshake, a host name) is followed by a rest that much longer."""


class RedisResultWriter:
    """Over a link of its own to the server that ``address`` names, each time that it is opened."""

    def __init__(self, address: Callable[[], RedisAddress], loop: Loop, options: BackendOptions) -> None:
        self._find, self._address = address, address()
        self._loop, self._options = loop, options
        self._prefix = options.prefix()
        self._chains: dict[str, deque[Result]] = {}  # by task; the first of each is next, or on its way
        self._next: list[str] = []  # tasks whose first result is not on its way
        self._link: RedisLink | None = None
        self._retry: Cancelable | None = None
        self._failures = 0
        self._lost_by = ""  # why there is no link
        self._full: dict[str, str] = {}  # tasks whose first result a full server has refused, and its words
        self._later: list[str] = []  # those of them that wait to be tried again
        self._again: Cancelable | None = None
        self._asked = self._closed = False
        self.pending = 0
        loop.call_soon(self._connect)

    @property
    def problem(self) -> str:
        if self._lost_by and self._failures:
            return self._lost_by
        return next(iter(self._full.values()), "")

    def store(
        self, task_id: str, state: str, meta: bytes, then: Then | None, reply_to: str | None = None
    ) -> None:
        chain = self._chains.setdefault(task_id, deque())
        if len(chain) > 1 and chain[-1].then is None:
            chain.pop()  # not the first one, which may be on its way
            self.pending -= 1
        self.pending += 1
        chain.append(Result(task_id, state, meta, then, reply_to))
        if len(chain) == 1:
            self._enqueue(task_id)

    def close(self) -> None:
        if self._closed:
            return
        self._flush()
        self._closed = True
        for timer in (self._retry, self._again):
            if timer is not None:
                timer.cancel()
        if self._link is not None:
            self._link.close()

    # -- sending -------------------------------------------------------------------------------

    def _enqueue(self, task_id: str) -> None:
        self._next.append(task_id)
        if not self._asked:
            self._asked = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._asked = False
        link = self._link
        if link is None or not link.up or self._closed:
            return
        tasks, self._next = self._next, []
        with link.together():
            for task_id in tasks:
                self._begin(link, self._chains[task_id][0])

    def _begin(self, link: RedisLink, result: Result) -> None:
        if result.state == SUCCESS:
            self._write(link, result)
        else:
            link.send([("GET", self._key(result.task_id))], partial(self._read, link, result))

    def _read(self, link: RedisLink, result: Result, replies: list[Any]) -> None:
        stored = replies[0]
        if isinstance(stored, bytes) and is_success(stored, self._options.coding):
            self._confirm(result)
        else:
            # An error answer is not judged here: the write that follows meets it too.
            self._write(link, result)

    def _write(self, link: RedisLink, result: Result) -> None:
        small, keep = self._commands(result)
        # A server that is full for what changes nothing, too, is full for all.
        commands = [*([small] if result.refused else []), ("MULTI",), *keep, ("EXEC",)]
        link.send(commands, partial(self._written, link, result))

    def _commands(self, result: Result) -> tuple[Command, list[Command]]:
        """A command that changes nothing, though it is refused by a full server; and how to keep it."""
        key, lifetime = self._key(result.task_id), self._options.lifetime(result.state)
        keep: Command = ("SET", key, result.meta)
        if lifetime is not None:
            keep = ("SETEX", key, lifetime, result.meta)
        return ("SETRANGE", key, 0, ""), [keep, ("PUBLISH", key, result.meta)]

    def _written(self, link: RedisLink, result: Result, replies: list[Any]) -> None:
        others_taken = result.refused and not isinstance(replies.pop(0), ReplyError)
        error = error_in(replies)
        if error is None:
            self._confirm(result)
        elif is_full(error):
            self._refused(result, refusal(self._address.shown, error), others_taken)
        else:
            link.lose(refusal(self._address.shown, error))

    def _confirm(self, result: Result) -> None:
        self._failures = 0
        self.pending -= 1
        if self._full.pop(result.task_id, None) is not None and not self._full:
            logger.info("Result backend takes every result again")
        chain = self._chains[result.task_id]
        chain.popleft()
        if chain:
            self._enqueue(result.task_id)
        else:
            del self._chains[result.task_id]
        if result.then is not None:
            result.then()

    # -- what the server refuses ---------------------------------------------------------------

    def _refused(self, result: Result, reason: str, others_taken: bool) -> None:
        """The server has no memory for it: it waits, and ends once that is so for it alone, for long."""
        if not self._full:
            logger.warning("Result backend refuses: %s; trying again", reason)
        self._full[result.task_id] = reason
        now, result.refused = time.monotonic(), True
        if not others_taken:
            result.alone_since = None
        elif result.alone_since is None:
            result.alone_since = now
        elif now - result.alone_since >= PATIENCE and self._replaced(result, reason):
            return
        self._later.append(result.task_id)
        if self._again is None:
            delay = random.uniform(LONGEST_DELAY / 2, LONGEST_DELAY)
            self._again = self._loop.call_later(delay, self._try_full)

    def _try_full(self) -> None:
        self._again = None
        later, self._later = self._later, []
        # A large one fills the server's memory while it is read, and then the small ones are refused too.
        self._next += sorted(later, key=lambda task_id: len(self._chains[task_id][0].meta))
        self._flush()

    def _too_large(self, reason: str) -> None:
        """The server has hung up on what it cannot read: the largest of what was on its way."""
        waiting = {*self._next, *self._later}
        sent = [chain[0] for task_id, chain in self._chains.items() if task_id not in waiting]
        result = max(sent, key=lambda result: len(result.meta), default=None)
        if result is not None and len(result.meta) >= LARGE:
            self._replaced(result, reason)

    def _replaced(self, result: Result, reason: str) -> bool:
        """Give up this one: a failure takes its place, if one helps; True when it has left instead."""
        if not result.final:
            tell_end(result, reason)
            self._confirm(result)
            return True
        instead = result.stand_in(reason, self._options.coding)
        if len(instead.meta) < len(result.meta):
            tell_end(result, reason)
            self._chains[result.task_id][0] = instead
        return False

    def _key(self, task_id: str) -> str:
        return task_key(task_id, self._prefix)

    # -- the link ------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._retry = None
        if self._closed:
            return
        began = time.monotonic()
        try:
            self._address = self._find()
            link = RedisLink(self._loop, self._address, on_lost=self._lost)
            link.open(CONNECT_TIMEOUT, self._up)
        except WorkerdError as exc:
            self._lost(str(exc), held_up=time.monotonic() - began)
        else:
            self._link = link

    def _up(self) -> None:
        self._lost_by = ""
        if self._failures:
            logger.info("Result backend is back; %d results are stored now", self.pending)
        if not self.pending:
            # Else the first result that it takes tells; a server may be there and refuse them all.
            self._failures = 0
        self._flush()

    def _lost(self, reason: str, held_up: float = 0.0) -> None:
        self._link, self._lost_by = None, reason
        if PROTOCOL_ERROR in reason:
            self._too_large(reason)
        # Nothing is on its way any more; what was may have arrived, and is stored again.
        self._next, self._later = list(self._chains), []
        if not self._failures:
            logger.warning("Result backend lost: %s; %d results wait for it", reason, self.pending)
        self._failures += 1
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 1, 10))
        delay = max(random.uniform(longest / 2, longest), REST * held_up)
        self._retry = self._loop.call_later(delay, self._connect)
