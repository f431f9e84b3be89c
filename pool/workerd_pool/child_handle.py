"""ChildHandle: what the parent knows of one child, and what it says to it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from workerd_pool import frames
from workerd_pool.contract import ChildInfo, Interruption, Job, Spec
from workerd_pool.deadlines import NEVER, Deadlines
from workerd_pool.death import Cause, Death, Reason
from workerd_pool.errors import ProtocolError
from workerd_pool.frames import Kind
from workerd_pool.linux import DUMP, WAKE
from workerd_pool.log import logger
from workerd_pool.memory import Meter, next_look
from workerd_pool.pace import MAX_LARGE
from workerd_pool.plan import ChildView
from workerd_pool.reaper import Reaper
from workerd_pool.sockets import Sockets
from workerd_pool.states import CHILD_TABLE, READY, ChildEvent, ChildState, Command
from workerd_pool.teller import Teller


class ChildHandle:
    """One child from the decision to fork it to its death."""

    def __init__(
        self, key: int, slot: int, generation: int, spec: Spec, reaper: Reaper, teller: Teller
    ) -> None:
        self.key, self.slot, self.generation, self.spec = key, slot, generation, spec
        self.state = ChildState.FORKING
        self.pid = 0
        self.jobs: dict[int, Job] = {}  # written to it and not done, in order
        self.current: Job | None = None
        self.since = 0.0  # when the state or the current job began
        self.served = 0
        self.at_end = False  # its up socket has told its end
        self.untold = False  # its template is dead and had not told its pid
        self.seen = 0.0  # when its last PONG came
        self.traceback = ""  # of what kept it from starting
        self.spent = ""  # why it takes no more jobs and is replaced
        self.set_aside = False  # gets no jobs until the long one it runs is over
        self.silent = False  # gets no jobs until it is heard of: it has not read what it was given
        self.hushed = False  # gets no jobs until what it has printed is told
        self.was_ready = False
        self.wanted_dead = False  # this death is somebody's decision and no sign of trouble
        self.due = Deadlines()
        self.condemned: Job | None = None  # the job that the child is killed for
        self.ended: Job | None = None  # the job that ``due.cut`` is about
        self.meter = Meter()
        self.fresh = 0  # bytes that it had when it was ready
        self.warned: Job | None = None  # the job that got MemoryLimitExceeded
        self.weigh_at = 0.0  # when its memory is read again also after a short job
        self.reason: Reason | None = None  # why the parent has ended it
        self._reaper = reaper
        self.sockets = Sockets()
        try:
            self.outlet = teller.open()
        except OSError:
            self.sockets.close()
            raise

    # -- what it is

    @property
    def ready(self) -> bool:
        """It can take jobs."""
        return self.state in READY

    @property
    def leaving(self) -> bool:
        """It was told to go, or is gone."""
        return self.state >= ChildState.DRAINING

    def view(self) -> ChildView:
        """For the plan."""
        return ChildView(
            key=self.key,
            slot=self.slot,
            generation=self.generation,
            ready=self.ready,
            busy=bool(self.jobs),
            leaving=self.leaving,
            spent=bool(self.spent),
        )

    def info(self, now: float) -> ChildInfo:
        """For ``status``."""
        job = self.current
        return ChildInfo(
            pid=self.pid,
            slot=self.slot,
            generation=self.generation,
            state="SILENT" if self.silent else self.state.name,
            job_id=job.id if job else None,
            title=job.title if job else "",
            age=max(0.0, now - self.since),
            served=self.served,
        )

    def name(self) -> str:
        """For log lines."""
        return f"child {self.slot} of {self.spec.name} (pid {self.pid or '?'}, generation {self.generation})"

    def death(self, status: int | None) -> Death:
        """Its death, with the parent's reason if there was one."""
        return Death.of(self.pid, status, self.reason, ready=self.was_ready)

    # -- events

    def apply(self, event: ChildEvent) -> None:
        """Go to the next state and do what it commands."""
        self.state, commands = CHILD_TABLE[self.state, event]
        for command in commands:
            self._perform(command)

    def blame(self, cause: Cause, words: str, hard_limit: float | None = None) -> None:
        """Why it is about to end; the first reason stays."""
        self.reason = self.reason or Reason(cause, words, hard_limit)

    def _perform(self, command: Command) -> None:
        if command is Command.GO:
            self.sockets.send(Kind.GO)
        elif command is Command.DRAIN:
            self.sockets.send(Kind.DRAIN)
        elif command is Command.HANG_UP:
            self.sockets.hang_up()
        elif command is Command.KILL and self.pid and self._reaper.signal(self.pid, signal.SIGKILL):
            # It was not reaped, so its group's number is no other's.
            self.kill_group()

    # -- down

    def childs_ends(self) -> tuple[int, int, int, int]:
        """The descriptors for the child: down, up, stdout, stderr."""
        return *self.sockets.childs_ends(), *self.outlet.writers()

    def given_away(self) -> None:
        """The template has the child's ends."""
        self.sockets.given_away()
        self.outlet.given_away()

    def give(self, job: Job) -> bool:
        """Write a RUN; False when the socket is full, or should not get more of that size."""
        header, jobs = frames.encode((job.id, job.title, job.header)), self.jobs
        large = len(header) + len(job.body) > frames.INLINE
        if large and len(jobs) >= MAX_LARGE:
            return False
        try:
            if large:
                # It reads without room for a descriptor unless it is told.
                self.sockets.send(frames.LARGE, frames.encode(job.id))
            self.sockets.send(frames.RUN, header, job.body)
        except BlockingIOError:
            return False
        if not jobs and self.state is ChildState.IDLE:
            self.apply(ChildEvent.ASSIGNED)
        jobs[job.id] = job
        return True

    def take_back(self, first: bytes | None = None) -> list[Job]:
        """Read the RUN frames that the child has not read; what else was there is written again.

        ``first`` is the header of an INTERRUPT to be written before that.
        """
        taken: list[Job] = []
        others = [] if first is None else [(int(Kind.INTERRUPT), first)]
        while (frame := self._read_back()) is not None:
            kind, header = frame
            if kind == frames.LARGE:
                continue  # what it announces is behind it, and taken as well
            if kind != frames.RUN:
                others.append((kind, header))
                continue
            job = self.jobs.pop(frames.decode(header)[0], None)
            if job is not None:
                taken.append(job)
        if self.state is not ChildState.EXITED:
            for kind, header in others:
                self.sockets.send(kind, header)
        if taken and not self.jobs:
            self.apply(ChildEvent.FREED)
        if not self.outlet.at_rest:
            self.outlet.update()
        return taken

    def _read_back(self) -> tuple[int, bytes] | None:
        try:
            return self.sockets.read_back()
        except (ProtocolError, OSError, MemoryError) as exc:
            # Whose frame that was cannot be known any more: its job ends with the child.
            self.blame(Cause.PROTOCOL, f"a job could not be taken back from it: {exc!r}")
            self.due.kill = 0.0
            return None

    def interrupt(self, job: Job, cause: Interruption, text: str) -> None:
        """Let the handler in the child raise in this job.

        The handler looks at the head of the socket only, so nothing may wait before the INTERRUPT; the
        dispatcher has taken back what the child has not read.
        """
        self.take_back(frames.encode((job.id, cause, text)))
        self.wake()

    @property
    def interrupting(self) -> bool:
        """An INTERRUPT waits that the child has not read."""
        return self.sockets.unread() == Kind.INTERRUPT

    def ping(self) -> None:
        """Ask for a PONG, unless so much waits there already that it will not read for long."""
        with suppress(BlockingIOError):
            self.sockets.send(Kind.PING)

    def fall_silent(self, now: float) -> None:
        """It does not read what it is given: it has as long as for a boot to be heard of."""
        logger.warning("%s does not read what it is given, and gets no more until it answers", self.name())
        self.silent = True
        self.ping()
        self.due.enter("answering", now + self.spec.boot_timeout)

    def heard(self) -> None:
        """It is not silent any more."""
        self.silent = False
        if not self.leaving:
            self.due.phase_over()

    # -- what it tells

    def begin(self, job_id: int, since: float, now: float) -> Job | None:
        """The child has read this job, no sooner than ``since``: from ``now`` on its limits run."""
        job = self.jobs.get(job_id)
        if job is None:
            return None
        self.current, self.since = job, since
        # As in ``limits``, which is a call more with every job.
        soft = self.spec.soft_limit if job.soft_limit is None else job.soft_limit
        hard = self.spec.hard_limit if job.hard_limit is None else job.hard_limit
        if soft is not None or hard is not None:
            self.due.begin_job(now, soft, hard)
        if self.due.memory == NEVER:
            self.due.memory = next_look(self.spec, now)
        return job

    def finish(self, job_id: int, now: float) -> Job | None:
        """The child has done this job."""
        job = self.jobs.pop(job_id, None)
        if job is None:
            return None
        self.current, self.since = None, now
        self.served += 1
        self.due.job_over()
        if job is self.ended:
            self.ended, self.due.cut = None, NEVER
        if not self.jobs:
            self.apply(ChildEvent.FREED)
        return job

    def limits(self, job: Job) -> tuple[float | None, float | None]:
        """(soft, hard) of a job: its own, else those of the recipe."""
        soft = self.spec.soft_limit if job.soft_limit is None else job.soft_limit
        hard = self.spec.hard_limit if job.hard_limit is None else job.hard_limit
        return soft, hard

    # -- signals

    def wake(self) -> None:
        """Let it look whether its job is to be interrupted."""
        self._reaper.signal(self.pid, WAKE)

    def dump(self) -> None:
        """Let it write its stacks to its stderr."""
        self._reaper.signal(self.pid, DUMP)

    def kill_group(self) -> None:
        """KILL what it has started too.  Only while its pid is its own: alive, or a zombie not reaped."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # It dies before it leads a group, or nobody is left in it that is ours to signal.
            return

    # -- the end

    def discard(self) -> None:
        """It never came to be: give all descriptors back."""
        self.outlet.close()
        self.close()

    def close(self) -> None:
        """Give all descriptors back but those of the outlet.  May be called twice."""
        self.sockets.close()
