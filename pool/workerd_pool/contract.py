"""The words that the pool and its host share: recipes, jobs, and who calls whom.

Units: limits and ages in seconds.  Job headers and bodies are opaque to the pool; a header must
hold only what msgpack can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from workerd_pool.death import Death


class Spec(msgspec.Struct, frozen=True):
    """The recipe of a generation: what its template imports and what its jobs may cost.

    ``entry`` is ``"module:function"``, called once in the template as ``function(arg)``; it returns
    the Runner.  ``path`` comes first on the template's ``sys.path``, ``env`` on top of the
    environment.  ``boot_timeout`` is the limit of each single phase of a boot.  The two limits
    are those of a job that brings none.

    A job whose child comes to have more than ``soft_memory`` bytes for itself gets MemoryLimitExceeded;
    over ``hard_memory`` the child is killed.  A child that has begun ``max_jobs`` jobs, or has more than
    any of the limits of memory after one, takes no other and is replaced.  None: no limit.

    ``open_files`` is the soft limit of descriptors in templates and children; None: the host's.
    """

    entry: str
    arg: bytes = b""
    name: str = "default"
    path: tuple[str, ...] = ()
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    boot_timeout: float = 60.0
    soft_limit: float | None = None
    hard_limit: float | None = None
    max_jobs: int | None = None
    max_memory: int | None = None
    soft_memory: int | None = None
    hard_memory: int | None = None
    open_files: int | None = None
    after_job: int | None = None
    """Made here, the least of them: over the soft one each job would be cut short for what it never took."""

    def __post_init__(self) -> None:
        limits = [size for size in (self.max_memory, self.soft_memory, self.hard_memory) if size is not None]
        # Once, because it is asked for after every job.
        msgspec.structs.force_setattr(self, "after_job", min(limits, default=None))


# A Struct, as one is made for each call: a dataclass takes three times as long to make.
class Job(msgspec.Struct, eq=False):
    """One call for a child.  ``id`` is the host's and unique among the jobs in the pool."""

    id: int
    header: dict[str, Any]
    body: bytes
    soft_limit: float | None = None
    hard_limit: float | None = None
    title: str = ""


class Interruption(StrEnum):
    """Why a running job is interrupted, and so what is raised in it."""

    SOFT_LIMIT = "soft limit"
    """billiard's SoftTimeLimitExceeded."""
    STOP = "stop"
    """SoftStop, a SoftTimeLimitExceeded too."""
    MEMORY_LIMIT = "memory limit"
    """MemoryLimitExceeded."""
    TERMINATE = "terminate"
    """JobTerminated, which ``except Exception`` does not catch."""


class Line(msgspec.Struct, frozen=True):
    """One line that a process has written to its stdout or stderr, without the newline.

    ``job`` is the job that ran; None outside of one.  ``source`` names the process for people.
    ``stream`` is ``"stdout"`` or ``"stderr"``.  Bytes that are no UTF-8 are escaped in ``text``.

    What came through a ``RecordHandler`` has the record's ``level`` and ``logger``, and its ``text``
    may be several lines.
    """

    job: Job | None
    source: str
    pid: int
    stream: str
    text: str
    level: int | None = None
    logger: str = ""


class ChildInfo(msgspec.Struct, frozen=True):
    """One child as ``status`` shows it.  ``age`` is seconds since it entered its state or began its job.

    ``state`` is the name of its state, or SILENT: it does not read what it is given.
    """

    pid: int
    slot: int
    generation: int
    state: str
    job_id: int | None
    title: str
    age: float
    served: int


class Report(Protocol):
    """What a running job may tell its host."""

    def progress(self, header: dict[str, Any], body: bytes) -> None:
        """Send an intermediate state up; it arrives before the job's DONE."""

    def shield(self) -> None:
        """From here to the end of this job the soft limit does not interrupt any more."""


class Runner(Protocol):
    """What ``entry`` returns: made in the template, used in each child."""

    def table(self) -> dict[str, Any]:
        """Plain data about what this generation can run; it reaches the host with ``on_up``."""

    def child_started(self) -> None:
        """In the child, before it takes jobs.  Raising here makes the child leave."""

    def run(self, job_header: dict[str, Any], body: bytes, report: Report) -> tuple[dict[str, Any], bytes]:
        """Run one job; return the header and the body of its outcome."""

    def child_stopping(self) -> None:
        """In the child, after its last job, before a clean exit."""


class Listener(Protocol):
    """The host.  Every method is called from the loop; an exception from it is logged and goes no further."""

    def on_passed(self, generation: int) -> None:
        """This generation has passed its trial, and waits for ``promote``; of held generations only."""

    def on_up(self, generation: int, table: dict[str, Any]) -> None:
        """This generation is current now: it has passed its trial, or the one after it has failed.

        Told again where its template had to be started anew and has imported code with another table.
        """

    def on_making(self) -> None:
        """A child is about to be made; told again when that has to be tried again."""

    def on_settled(self, generation: int) -> None:
        """All its children are there that can be: whoever is left of another generation has a job."""

    def on_complete(self, generation: int) -> None:
        """No other child is left; a failure is a crash from here on, and no reason to go back."""

    def on_generation_failed(self, generation: int, reason: str, traceback: str) -> None:
        """This generation is dropped; the one before it, if any, goes on.

        If it was current, ``on_up`` with the one before it came first.
        """

    def on_free(self) -> None:
        """``submit`` would take a job now."""

    def on_started(self, job: Job, pid: int) -> None:
        """A child has read the job and begins."""

    def on_progress(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        """The job reported an intermediate state."""

    def on_done(self, job: Job, header: dict[str, Any], body: bytes) -> None:
        """The job has ended with this outcome."""

    def on_lost(self, job: Job, death: Death) -> None:
        """Its child died with the job read and not finished."""

    def on_returned(self, job: Job) -> None:
        """The job never started and is the host's again."""

    def on_output(self, line: Line) -> None:
        """A child, a template or what they have started has printed a line."""

    def on_degraded(self, reason: str | None) -> None:
        """Replacements are slowed down because of ``reason``; None: healthy again."""

    def on_empty(self) -> None:
        """After ``close`` or ``terminate``: no child and no template is left.  Called once."""


class Cancelable(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> object:
        """Never fire."""


class Loop(Protocol):
    """The event loop, as much of it as the pool needs; kombu's Hub has this shape."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None:
        """Call back each time ``fds`` is readable."""

    def remove_reader(self, fd: int) -> None:
        """Undo ``add_reader``."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Cancelable:
        """Call back once, ``delay`` seconds from now."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Call back once, in the next turn of the loop."""
