"""Backlog: jobs that the pool has taken and that are at no child right now, the next one first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from workerd_pool.contract import Job, Listener
from workerd_pool.log import tell


class Backlog:
    """What is given up is the host's again, and told to ``listener``."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self.jobs)

    def put_first(self, jobs: Sequence[Job]) -> None:
        """A child has not read these: they are next, in their order."""
        self.jobs.extendleft(reversed(jobs))

    def find(self, job_id: int) -> Job | None:
        """This job, if it is here."""
        return next((job for job in self.jobs if job.id == job_id), None)

    def give_up(self, job_id: int) -> None:
        """If this job is here it is the host's again."""
        if (job := self.find(job_id)) is not None:
            self.jobs.remove(job)
            tell(self._listener.on_returned, job)

    def give_up_all(self) -> None:
        """All are the host's again."""
        while self.jobs:
            tell(self._listener.on_returned, self.jobs.popleft())

    def empty(self) -> list[Job]:
        """All of them, which are the caller's now."""
        jobs, self.jobs = list(self.jobs), deque()
        return jobs
