"""One task message that this node holds, from its delivery until the broker has forgotten it.

Units: ``time_start`` and ``received`` are seconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from workerd.config.model import DEFAULT_POOL
from workerd.protocol.incoming import plain_call

if TYPE_CHECKING:
    from workerd.delivery.aftermath import Epitaph
    from workerd.protocol.dead import Letter
    from workerd.protocol.message import Message
    from workerd.source.base import Delivery


class Stage(Enum):
    """How far a request has come, in the order of its life.

    Only LIMITED, RUNNING and ACKNOWLEDGING may go back, to RESERVED.
    """

    SCHEDULED = "scheduled"
    """Waits here for its ETA."""
    RESERVED = "reserved"
    """Waits for a free slot."""
    LIMITED = "limited"
    """Waits for its turn, because its task may begin only so often."""
    ACKNOWLEDGING = "acknowledging"
    """At most once: waits for the broker to forget it before it may run."""
    RUNNING = "running"
    """With the pool."""
    STORING = "storing"
    """Has run; its result is on its way to the backend."""
    SETTLING = "settling"
    """Decided; the broker has not confirmed it yet."""


NOT_BEGUN = frozenset({Stage.SCHEDULED, Stage.RESERVED, Stage.LIMITED})
"""It waits here, and nobody else knows of it."""


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor must know of a task; the template sends one for each task it registered."""

    acks_late: bool = True
    acks_on_failure: bool = True
    acks_on_timeout: bool = True
    reject_on_worker_lost: bool | None = None
    ignore_result: bool = False
    store_errors_even_if_ignored: bool = False
    send_events: bool = True
    time_limit: float | None = None
    soft_time_limit: float | None = None
    app_time_limit: float | None = None
    """The app's settings say so of all its tasks."""
    app_soft_time_limit: float | None = None
    rate_limit: str | float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> TaskOptions:
        """From a row of the template's task table; None means the default."""
        return msgspec.convert({key: value for key, value in row.items() if value is not None}, cls)


# A Struct, as it is made for each message: a dataclass of so many fields takes 1 us more to make.
class Request(msgspec.Struct, eq=False):
    """A message together with everything that has happened to it here."""

    number: int
    delivery: Delivery
    message: Message
    options: TaskOptions
    received: float
    """When it came, in seconds since the epoch."""
    pool: str = DEFAULT_POOL
    """The name of the pool that runs it."""
    stage: Stage = Stage.RESERVED
    """How far it has come."""
    time_start: float | None = None
    """When its run began, in seconds since the epoch; None before."""
    worker_pid: int | None = None
    """The pid of the child that runs it, or has run it."""
    deaths: int = 0
    """Children, or whole daemons, that died while they ran it: here, before, and elsewhere."""
    suspect: bool = False
    """Its next death is its last, and it may only have been beside the one that killed a daemon."""
    refusals: int = 0
    """Children of an older generation that did not know its task."""
    acknowledged: bool = False
    """True once an early acknowledgement was confirmed: nothing is left to settle."""
    timer: Any = None
    admitted: bool = False
    """It may begin, whatever the rate limit of its task says: it has taken its turn."""
    unwanted: bool = False
    """An operator has ordered its end: it is not begun any more."""
    noted: bool = False
    """The source was told what to count for it, should this node die."""
    verdict: Verdict | None = None
    doubtful: bool = False
    """Its settlement was sent over a link that was lost: that may have arrived."""
    taken: bool = False
    """Another node has taken it over: what is told to the broker about it changes nothing."""
    linked: bool = True
    """False when the link that delivered it is gone and its tag with it."""
    epitaph: Epitaph | None = None
    """It has ended, and a child is to tell those who wait for it."""
    title: str = ""
    """How logs, process titles and status name it; made of its message where nothing is given."""

    def __post_init__(self) -> None:
        self.title = self.title or f"{self.message.shadow or self.message.task}[{self.message.id}]"

    @property
    def id(self) -> str:
        """The id of the call."""
        return self.message.id

    @property
    def name(self) -> str:
        """The name of its task, or the one that its sender has given it for logs."""
        return self.message.shadow or self.message.task

    @property
    def args(self) -> list[Any]:
        """The arguments, decoded each time that they are asked for: nothing here needs them."""
        return plain_call(self.message.payload)[0]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments, likewise."""
        return plain_call(self.message.payload)[1]

    @property
    def keeps_result(self) -> bool:
        """True when a failure found by the supervisor belongs in the result backend."""
        ignored = self.message.ignore_result
        if ignored is None:
            ignored = self.options.ignore_result
        return not ignored or self.options.store_errors_even_if_ignored


class Settlement(Enum):
    """What the broker is told in the end."""

    DONE = "done"
    GIVE_BACK = "give back"
    PARK = "park"
    """To wait in the broker for its ETA."""
    PUT_ASIDE = "put aside"

    @property
    def runs_again(self) -> bool:
        """The same message comes again and shall be run then."""
        return self in RUNS_AGAIN


RUNS_AGAIN = (Settlement.GIVE_BACK, Settlement.PARK)


class Verdict(msgspec.Struct, frozen=True):
    """A decided settlement; kept until it is confirmed, so that it survives a lost link."""

    settlement: Settlement
    reason: str = ""
    letter: Letter | None = None
    """What goes with a message that is put aside; written once, whatever link takes it there."""
