"""The file of what runs now: what is still in it when the next supervisor starts was running when this one
died.

A run is noted before a child gets it, however short it is: a task may take the whole daemon with it in its
first millisecond.  So it must be cheap.  A record is written in place and cleared in place, which takes 4 µs
a run; a row in sqlite and its end take 70 µs, and now and then 90 ms [measured].  Nothing is synced: the page
cache outlives the process, and the kernel writes it to disk within half a minute.

Errors: told once in the log, and once more when it is over; PermissionDeniedError from ``open``.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path

from workerd.delivery.deaths import Tally
from workerd.errors import PermissionDeniedError

logger = logging.getLogger(__name__)

RECORD = struct.Struct("<16sIIQ")  # mark, deaths, deaths of supervisors, 1 for a record that is in use
HEAD = b"workerd: what runs now, form 1\n".ljust(RECORD.size, b"\0")
EMPTY = bytes(RECORD.size)


class RunFile:
    """Records of ``path`` by the number of the request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._places: dict[int, int] = {}
        self._free: list[int] = []  # a heap, so that the file stays short
        self._next = 1
        self._failing = False

    def open(self) -> list[tuple[bytes, Tally]]:
        """What ran when the last supervisor died; empty when it ended as it should."""
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            content = self.path.read_bytes()
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                self._failed(exc)
                return []
            raise PermissionDeniedError(
                f"cannot open {self.path}: {exc.strerror}", "run as the user that owns it, or move it away"
            ) from exc
        if content and not content.startswith(HEAD):
            logger.warning("%s is not in a form that is known: nothing is read from it", self.path)
            return []
        return list(_records(content))

    def clear(self) -> None:
        """Nothing runs, or nothing that shall be blamed."""
        self._places.clear()
        self._free, self._next = [], 1
        try:
            if self._fd >= 0:
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, HEAD, 0)
        except OSError as exc:
            self._failed(exc)

    def note(self, number: int, mark: bytes, tally: Tally) -> None:
        """The request is about to run."""
        place = heappop(self._free) if self._free else self._next
        self._next = max(self._next, place + 1)
        self._places[number] = place
        self._write(place, RECORD.pack(mark, tally.deaths, tally.supervisors, 1))

    def strike(self, number: int) -> None:
        """It runs no more; one that is not noted is no matter."""
        place = self._places.pop(number, None)
        if place is not None:
            heappush(self._free, place)
            self._write(place, EMPTY)

    def close(self) -> None:
        """Leave the file empty: this supervisor has ended as it should."""
        if self._fd >= 0:
            self.clear()
            os.close(self._fd)
            self._fd = -1

    def _write(self, place: int, record: bytes) -> None:
        if self._fd < 0:
            return
        try:
            os.pwrite(self._fd, record, place * RECORD.size)
        except OSError as exc:
            self._failed(exc)
        else:
            if self._failing:
                self._failing = False
                logger.info("%s can be written again", self.path)

    def _failed(self, exc: OSError) -> None:
        if not self._failing:
            self._failing = True
            logger.warning(
                "%s cannot be written (%s): until it can, what kills this whole daemon is not counted",
                self.path,
                exc.strerror,
            )


def _records(content: bytes) -> Iterator[tuple[bytes, Tally]]:
    whole = len(content) // RECORD.size * RECORD.size
    for mark, deaths, supervisors, used in RECORD.iter_unpack(content[RECORD.size : whole]):
        if used == 1:
            yield mark, Tally(deaths, supervisors)
