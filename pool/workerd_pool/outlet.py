"""Outlet: the supervisor's side of what one process writes to its stdout and stderr.

Two pipes, made before the process is.  One read takes at most ``CHUNK`` bytes, and while lines
wait to be told nothing more is read: then a process that prints faster than the log takes blocks
in its own ``write``, and nobody else does.

Which job has printed something is never guessed.  A child with several jobs may have begun the
next one at any time, so its pipes are left alone until a DONE says that they hold its mark, and
then read as far as that at least; a child with one job can be running no other.

Units:  bytes.
Errors: OSError from the constructor when there is no descriptor left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from workerd_pool.contract import Job, Line
from workerd_pool.lines import Lines

if TYPE_CHECKING:
    from workerd_pool.teller import Teller

CHUNK = 64 * 1024
FULL = 256 * 1024
"""With so much to be told a child gets no new job."""
MOST_AT_ONCE = 1024 * 1024
"""What is read at most when a process has ended: the largest pipe that a task can make of its own."""


class Speaker(Protocol):
    """Whose output it is."""

    @property
    def pid(self) -> int:
        """0 while it is not known yet."""

    def name(self) -> str:
        """For lines that belong to no job."""

    @property
    def jobs(self) -> Mapping[int, Job]:
        """What it has to do: with several jobs it may have begun any of them."""


class Gone(msgspec.Struct, frozen=True):
    """A dead process; what it has started may still print."""

    pid: int
    title: str
    jobs: Mapping[int, Job] = msgspec.field(default_factory=dict)

    def name(self) -> str:
        return self.title


class Pipe(msgspec.Struct):
    """One stream.  A descriptor that is closed is -1."""

    stream: str
    reader: int
    writer: int
    lines: Lines
    listening: bool = False


class Outlet:
    """Both pipes of one process."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._speaker: Speaker | None = None
        self._pipes: list[Pipe] = []
        self.at_rest = True  # a job that ends without a word about output has nothing to end here
        self._when_told: Callable[[], None] | None = None
        try:
            for stream in ("stdout", "stderr"):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                self._pipes.append(Pipe(stream, reader, writer, Lines()))
                # Not the writer: a task must wait when its log does, not see EAGAIN.
                os.set_blocking(reader, False)
        except OSError:
            self.close()
            raise

    def writers(self) -> tuple[int, int]:
        """The ends for the process: stdout and stderr."""
        return self._pipes[0].writer, self._pipes[1].writer

    def given_away(self) -> None:
        """The process has its ends; the supervisor keeps only its own, or it would never see the end."""
        for pipe in self._pipes:
            if pipe.writer >= 0:
                os.close(pipe.writer)
                pipe.writer = -1

    def listen(self, speaker: Speaker, when_told: Callable[[], None] | None = None) -> None:
        """Read from now on what ``speaker`` writes; ``when_told`` is called each time all of it is told."""
        self._speaker, self._when_told = speaker, when_told
        self.update()

    # -- reading

    @property
    def open(self) -> bool:
        """More may come."""
        return any(pipe.reader >= 0 for pipe in self._pipes)

    @property
    def waiting(self) -> bool:
        """Lines wait to be told."""
        return any(pipe.lines.waiting for pipe in self._pipes)

    @property
    def full(self) -> bool:
        """So much waits that its process should not be asked for more."""
        return sum(pipe.lines.size for pipe in self._pipes) > FULL

    def update(self) -> None:
        """Read or do not read, as things are now."""
        speaker = self._speaker
        if speaker is None:
            return
        listen = len(speaker.jobs) < 2 and not self._teller.held and not self.waiting
        for pipe in self._pipes:
            if pipe.reader >= 0 and pipe.listening is not listen:
                self._listen(pipe, listen)
        self.at_rest = listen and not any(pipe.lines.unfinished for pipe in self._pipes)

    def _listen(self, pipe: Pipe, listen: bool) -> None:
        pipe.listening = listen
        if listen:
            self._teller.loop.add_reader(pipe.reader, self._on_readable, pipe)
        else:
            self._teller.loop.remove_reader(pipe.reader)

    def _on_readable(self, pipe: Pipe) -> None:
        speaker = self._speaker
        if speaker is not None and len(speaker.jobs) < 2:
            self._read(pipe, speaker.jobs)
            self._teller.tell(self)
        self.update()

    def _read(self, pipe: Pipe, jobs: Mapping[int, Job | None]) -> int:
        """Read one chunk that ``jobs`` may have written; return how many bytes there were."""
        try:
            data = os.read(pipe.reader, CHUNK)
        except BlockingIOError:
            return 0
        if data:
            pipe.lines.feed(data, jobs)
        else:
            pipe.lines.finish()
            self._shut(pipe)
        return len(data)

    def _shut(self, pipe: Pipe) -> None:
        if pipe.listening:
            self._listen(pipe, False)
        os.close(pipe.reader)
        pipe.reader = -1
        if isinstance(self._speaker, Gone) and not self.open:
            self._teller.forget(self)

    # -- ends

    def end(self, job_id: int, job: Job | None, printed: int) -> None:
        """A job has ended; ``printed`` has a bit for each pipe that holds its mark, the lowest for stdout."""
        jobs = {job_id: job, **(self._speaker.jobs if self._speaker is not None else {})}
        for bit, pipe in enumerate(self._pipes):
            if printed & 1 << bit:
                self._read_to_mark(pipe, job_id, jobs)
            if job_id in pipe.lines.marked:
                pipe.lines.marked.discard(job_id)
            else:
                pipe.lines.finish()
        self._teller.tell(self)
        self.update()

    def _read_to_mark(self, pipe: Pipe, job_id: int, jobs: Mapping[int, Job | None]) -> None:
        # Never long: the mark was written before the DONE that told of it.
        while job_id not in pipe.lines.marked and pipe.reader >= 0:
            if not self._read(pipe, jobs):
                return

    def read_out(self, owner: Job | None) -> None:
        """All that is in the pipes now is ``owner``'s."""
        jobs = {} if owner is None else {owner.id: owner}
        for pipe in self._pipes:
            left = MOST_AT_ONCE
            while left > 0 and pipe.reader >= 0 and (got := self._read(pipe, jobs)):
                left -= got
            pipe.lines.finish()
        self._teller.tell(self)
        self.update()

    def bury(self, owner: Job | None, name: str) -> None:
        """The process is dead, in the middle of ``owner``'s job if that is set."""
        self.read_out(owner)
        self._speaker = Gone(self._speaker.pid if self._speaker is not None else 0, name)
        self._teller.leave(self)
        self.update()

    def take(self, limit: int) -> list[Line]:
        """The next lines to be told, at most ``limit``."""
        taken: list[Line] = []
        if self._speaker is not None:
            source, pid = self._speaker.name(), self._speaker.pid
            for pipe in self._pipes:
                for job, text in pipe.lines.take(limit - len(taken)):
                    taken.append(Line(job, source, pid, pipe.stream, *text))
        return taken

    def told(self) -> None:
        """Nothing waits any more."""
        self.update()
        if self._when_told is not None:
            self._when_told()

    def close(self) -> None:
        """Give all descriptors back.  May be called twice."""
        self.given_away()
        for pipe in self._pipes:
            if pipe.reader >= 0:
                self._shut(pipe)
        self._teller.forget(self)
