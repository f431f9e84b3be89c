"""``ResultWriter``: the supervisor's way to the result backend; it never waits and never forgets.

A result is confirmed when the backend has it; only then its ``then`` is called, and only then the task's
message may be settled.  While the backend is away results are kept and counted, and tried again by timers.
A result may be stored twice after an outage, never not at all while the process lives.  What is kept is
bounded by what the broker hands out before it is settled.

Errors:  ConfigError from ``open_writer`` for a URL that is not served; none later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from workerd.backends.base import BackendOptions
from workerd.backends.opening import REDIS, RPC, open_keyvalue, scheme_of
from workerd.backends.url import EMBEDDED, resolve
from workerd.errors import ConfigError
from workerd.transport.address import address_of_url
from workerd.transport.loop import Loop

Then = Callable[[], object]


class ResultWriter(Protocol):
    """Stores encoded results."""

    @property
    def pending(self) -> int:
        """Results that are not confirmed yet."""

    @property
    def problem(self) -> str:
        """Why results wait, in words; empty while they are taken."""

    def store(
        self, task_id: str, state: str, meta: bytes, then: Then | None, reply_to: str | None = None
    ) -> None:
        """Store ``meta``, the encoded result; ``then`` is called when it is confirmed.

        Without ``then`` it may be left out if a newer state of the task comes before it was sent.
        ``reply_to`` is where the caller waits for it, as the task's message says."""

    def close(self) -> None:
        """Leave; what is still pending is not stored.  May be called twice."""


class Replies(Protocol):
    """How results become messages to their callers."""

    def writer(self, loop: Loop, options: BackendOptions) -> ResultWriter:
        """A writer over the broker."""


def open_writer(
    url: str | None, loop: Loop, options: BackendOptions | None = None, replies: Replies | None = None
) -> ResultWriter:
    """The writer for the backend at ``url``; it connects in the loop's next turn."""
    if not url or url.rstrip("/:") == "disabled":
        return NullWriter()
    options, scheme = options or BackendOptions(), scheme_of(url)
    if scheme == RPC:
        if replies is None:
            raise ConfigError("result backend rpc:// needs a broker", "set one")
        return replies.writer(loop, options)
    if scheme in (*REDIS, EMBEDDED):
        # What a daemon does not use it does not pay for.
        from workerd.backends.redis_writer import RedisResultWriter  # noqa: PLC0415

        address = address_of_url(resolve(url))
        if address.tls is not None and options.tls:
            address = msgspec.structs.replace(address, tls={**options.tls, **address.tls})
        return RedisResultWriter(lambda: address, loop, options)
    from workerd.backends.threaded import ThreadedWriter  # noqa: PLC0415

    return ThreadedWriter(open_keyvalue(url, options), loop)


class NullWriter:
    """For apps that keep no results."""

    pending = 0
    problem = ""

    def store(
        self, task_id: str, state: str, meta: bytes, then: Then | None, reply_to: str | None = None
    ) -> None:
        if then is not None:
            then()

    def close(self) -> None:
        """Nothing to leave."""
