"""Lines: what a process has written into one pipe, as whole lines with the job that they belong to.  Pure.

Where a job ends while something is in the pipe, its child writes a *mark* into it.  So what several
short jobs have printed before the supervisor came to read it still falls apart where one job ends
and the next begins: with their marks among the bytes the owner of each is certain, and behind the
last mark it is the first job that has none.

Units:  bytes; counts of lines.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping

import msgspec

from workerd_pool.contract import Job
from workerd_pool.records import BEGIN, MOST, Text, texts

LONGEST = 8 * 1024
"""A line that is longer is cut in parts."""
CONTINUED = " [the line goes on]"
"""What stands at the end of every part but the last."""
START = -1
"""Instead of a job's id: the mark behind what a child prints before its first job."""

_MARK = re.compile(rb"\0end (-?\d+)\0")
_MARK_BEGUN = re.compile(rb"\0(?:e(?:n(?:d(?: -?\d*)?)?)?)?\Z")
_MARK_SIZE = 32  # at most


def mark(job_id: int) -> bytes:
    """The mark that ends the output of a job."""
    return b"\0end %d\0" % job_id


class _Stretch(msgspec.Struct):
    """What one owner has written, from ``start`` on not yet taken."""

    owner: Job | None
    data: bytes
    start: int = 0
    ended: bool = False

    def take(self, limit: int) -> list[Text]:
        """At most ``limit`` of the lines that are whole; a record in the middle of one is one more."""
        data, start, size = self.data, self.start, len(self.data)
        taken: list[Text] = []
        while start < size and len(taken) < limit:
            longest = self._longest(start)
            end = data.find(b"\n", start, start + longest + 1)
            if end >= 0:
                taken += texts(data[start:end])
                start = end + 1
            elif size - start > longest:
                end = _between_letters(data, start, start + longest)
                taken += texts(data[start:end] + CONTINUED.encode())
                start = end
            elif self.ended:
                taken += texts(data[start:])
                start = size
            else:
                break
        self.start = start
        return taken

    def _longest(self, start: int) -> int:
        return MOST if self.data.startswith(BEGIN, start) else LONGEST

    @property
    def whole(self) -> bool:
        """``take`` would find something."""
        data, start = self.data, self.start
        left = len(data) - start
        return left > 0 and (self.ended or left > self._longest(start) or data.find(b"\n", start) >= 0)


class Lines:
    """Bytes in, lines out, in the order of their coming."""

    def __init__(self) -> None:
        self._stretches: deque[_Stretch] = deque()
        self._rest = b""  # may be the beginning of a mark
        self._rests_owner: Job | None = None
        self.marked: set[int] = set()  # jobs whose mark was read

    def feed(self, data: bytes, jobs: Mapping[int, Job | None]) -> None:
        """These bytes came next; ``jobs``, in the order of their running, may have written them."""
        data, self._rest = self._rest + data, b""
        position = 0
        for found in _MARK.finditer(data):
            if (job_id := int(found[1])) in jobs or job_id == START:
                self._add(data[position : found.start()], jobs.get(job_id))
                self._end()
                self.marked.add(job_id)
                position = found.end()
        owner = next((job for job_id, job in jobs.items() if job_id not in self.marked), None)
        begun = _MARK_BEGUN.search(data, max(position, len(data) - _MARK_SIZE))
        end = begun.start() if begun else len(data)
        self._rest, self._rests_owner = data[end:], owner
        self._add(data[position:end], owner)

    def finish(self) -> None:
        """The last line ends here, with a newline or without."""
        rest, self._rest = self._rest, b""
        self._add(rest, self._rests_owner)
        self._end()

    def take(self, limit: int) -> list[tuple[Job | None, Text]]:
        """The next lines that are whole, about ``limit`` at most."""
        taken: list[tuple[Job | None, Text]] = []
        while self._stretches and len(taken) < limit:
            stretch = self._stretches[0]
            taken.extend((stretch.owner, text) for text in stretch.take(limit - len(taken)))
            if stretch.start < len(stretch.data):
                break
            self._stretches.popleft()
        return taken

    @property
    def waiting(self) -> bool:
        """``take`` would find something."""
        return bool(self._stretches) and self._stretches[0].whole

    @property
    def unfinished(self) -> bool:
        """Something was fed that is no line yet."""
        return bool(self._rest) or (bool(self._stretches) and not self._stretches[-1].ended)

    @property
    def size(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._rest) + sum(len(stretch.data) - stretch.start for stretch in self._stretches)

    def _end(self) -> None:
        if self._stretches:
            self._stretches[-1].ended = True
            if not self._stretches[-1].whole:
                self._stretches.pop()

    def _add(self, data: bytes, owner: Job | None) -> None:
        if not data:
            return
        last = self._stretches[-1] if self._stretches else None
        if last is not None and not last.ended and last.owner is owner:
            last.data, last.start = last.data[last.start :] + data, 0
            return
        if last is not None:
            last.ended = True
        self._stretches.append(_Stretch(owner, data))


def _between_letters(data: bytes, start: int, end: int) -> int:
    """``end``, or up to three bytes before it, so that no letter of UTF-8 is cut in two."""
    for position in range(end, max(start, end - 4), -1):
        if data[position] & 0xC0 != 0x80:
            return position
    return end
