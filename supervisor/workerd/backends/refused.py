"""What is stored in place of a result that the server does not take, though it takes others.

Two kinds are known.  One is larger than the server reads (512 MB, or its ``proto-max-bulk-len``): it says so
and hangs up, and no try will ever be better.  The other does not fit into the memory that a full server has
left: that may pass, so it is tried for a while, each time behind a small command that shows whether others
are taken.  Only the time in which they are counts; a server that takes nothing at all is an outage.

Units: seconds; bytes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from workerd.protocol.exceptions import BackendStoreError
from workerd.protocol.result import Coding, Lineage, make_meta
from workerd.protocol.states import FAILURE, READY_STATES

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""How long a server that takes others is asked to take the result itself."""

LARGE = 1 << 20
"""No server refuses to read less."""


class Result(msgspec.Struct, eq=False):
    """One state of one task on its way to the server; ``then`` is told when it is there."""

    task_id: str
    state: str
    meta: bytes
    then: Callable[[], object] | None
    reply_to: str | None = None
    """The queue at which the caller waits for it, where results are messages."""
    refused: bool = False
    """A full server has refused it."""
    alone_since: float | None = None
    """Since when it has been refused while others are taken."""

    @property
    def final(self) -> bool:
        """Nothing follows it, so that a client may wait for it."""
        return self.state in READY_STATES

    def stand_in(self, reason: str, coding: Coding) -> Result:
        """The failure that says why this result is not there."""
        size = f"{len(self.meta)} bytes"
        text = f"the task ended with {self.state}, but its result of {size} cannot be stored: {reason}"
        meta = make_meta(self.task_id, FAILURE, BackendStoreError(text), Lineage(children=[]), coding=coding)
        return Result(self.task_id, FAILURE, coding.encode(meta), self.then, self.reply_to)


def tell_end(result: Result, reason: str) -> None:
    """Its last word in the log."""
    end = "stored as a failure" if result.final else "left out"
    what = f"{result.state}, {len(result.meta)} bytes"
    logger.error(
        "The result of task %s (%s) cannot be stored, and is %s: %s", result.task_id, what, end, reason
    )


def is_full(error: object) -> bool:
    """Whether an error answer says that the server has no memory for a command."""
    return str(error).startswith("OOM ")
