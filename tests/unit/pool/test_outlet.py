"""Which job has printed what, however the child and the supervisor take turns.

The pipes and both sides' code are the real ones; only the moments are chosen by the test.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from workerd_pool import Job, Line
from workerd_pool.outlet import Outlet
from workerd_pool.streams import Streams
from workerd_pool.teller import Teller

DEPTH = 3


class Loop:
    """Readers and nothing else."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None:
        self.readers[fds] = lambda: callback(*args)

    def remove_reader(self, fd: int) -> None:
        del self.readers[fd]

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        callback(*args)

    call_later = call_soon


class Listener:
    def __init__(self) -> None:
        self.heard: dict[int | None, list[str]] = defaultdict(list)

    def on_output(self, line: Line) -> None:
        self.heard[line.job.id if line.job else None].append(line.text)


class Couple:
    """A child and its supervisor; the child may be any number of steps ahead."""

    def __init__(self) -> None:
        self.loop, self.listener = Loop(), Listener()
        self.teller = Teller(self.loop, self.listener)  # type: ignore[arg-type]
        self.outlet = self.teller.open()
        self.pid = 1
        self.jobs: dict[int, Job] = {}  # as the supervisor sees them
        self.given: deque[Job] = deque()
        self.running: Job | None = None
        self.ended: deque[tuple[Job, int]] = deque()  # DONE frames under way
        self.printed: dict[int, str] = {}
        self.streams = Streams(*self.outlet.writers())
        self.last = 0
        self.outlet.listen(self)

    def name(self) -> str:
        return "child 1"

    # what the supervisor may do

    def give(self) -> None:
        if len(self.jobs) < DEPTH:
            self.last += 1
            job = self.jobs[self.last] = Job(self.last, {}, b"")
            self.given.append(job)
            self.printed[job.id] = ""

    def read(self) -> None:
        for callback in list(self.loop.readers.values()):
            callback()

    def serve(self) -> None:
        if self.ended:
            job, printed = self.ended.popleft()
            del self.jobs[job.id]
            if printed or not self.outlet.at_rest:
                self.outlet.end(job.id, job, printed)

    def take_back(self) -> None:
        while self.given:
            del self.jobs[self.given.pop().id]
        self.outlet.update()

    # what the child may do

    def begin(self) -> None:
        if self.running is None and self.given:
            self.running = self.given.popleft()

    def say(self) -> None:
        if self.running is not None:
            text = f"{self.running.id},"
            self.printed[self.running.id] += text
            os.write(self.outlet.writers()[0], text.encode())

    def end(self) -> None:
        if self.running is not None:
            self.ended.append((self.running, self.streams.end(self.running.id)))
            self.running = None

    def finish(self) -> None:
        """Let both come to rest, then compare what was heard with what was said."""
        self.take_back()
        self.end()
        while self.ended:
            self.serve()
        assert self.outlet.at_rest
        self.teller.close()
        assert not self.loop.readers
        assert "".join(self.listener.heard.pop(None, [])) == ""
        assert {job: "".join(lines) for job, lines in self.listener.heard.items()} == {
            job: text for job, text in self.printed.items() if text
        }


STEPS = ("give", "give", "begin", "say", "say", "end", "read", "serve", "take_back")


@settings(max_examples=60)
@given(st.lists(st.sampled_from(STEPS), min_size=20, max_size=50))
def test_every_line_is_told_once_and_with_the_job_that_printed_it(steps: list[str]) -> None:
    couple = Couple()
    for step in steps:
        getattr(couple, step)()
    couple.finish()


def test_a_process_with_one_job_is_read_at_once_and_one_with_several_is_left_alone() -> None:
    couple = Couple()
    couple.give(), couple.begin(), couple.say(), couple.give(), couple.read()
    assert not couple.loop.readers
    couple.take_back(), couple.read()
    couple.end(), couple.serve()
    assert couple.listener.heard == {1: ["1,"]}
    couple.finish()


def test_a_closed_outlet_leaves_no_descriptor() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    outlet = Outlet(Teller(Loop(), Listener()))  # type: ignore[arg-type]
    outlet.close()
    outlet.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
