"""The file of what runs now: what is still in it when the next supervisor starts was running when this one
died.

A run is noted before a child gets it, however short it is: a task may take the whole daemon with it in its
first millisecond.  So it must be cheap.  Records have places, which are used again, and an image in memory;
``write`` brings all that has changed to the file at once, before the children get a batch of jobs.  A run's
record and its end take 1 µs so, 4 µs when each was written by itself, and 70 µs, now and then 90 ms, as a
row in sqlite [measured].  Nothing is synced: the page cache outlives the process, and the kernel writes it to
disk within half a minute.

Errors: told once in the log, and once more when it is over; PermissionDeniedError from ``open``.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Iterator
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
        self._free: list[int] = []  # the last to become free is used first: so few are ever used
        self._image = bytearray(HEAD)
        self._changed: set[int] = set()  # places that are not written yet
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
        self._free, self._image, self._changed = [], bytearray(HEAD), {0}
        try:
            if self._fd >= 0:
                os.ftruncate(self._fd, 0)
        except OSError as exc:
            self._failed(exc)
        self.write()

    def note(self, number: int, mark: bytes, tally: Tally) -> None:
        """The request is about to run, once this is written."""
        if self._free:
            place = self._free.pop()
        else:
            place = len(self._image) // RECORD.size
            self._image += EMPTY
        self._places[number] = place
        RECORD.pack_into(self._image, place * RECORD.size, mark, *tally, 1)
        self._changed.add(place)

    def strike(self, number: int) -> None:
        """It runs no more; one that is not noted is no matter."""
        place = self._places.pop(number, None)
        if place is not None:
            self._free.append(place)
            at = place * RECORD.size
            self._image[at : at + RECORD.size] = EMPTY
            self._changed.add(place)

    def write(self) -> None:
        """What was noted and struck until now outlives this process; tried again later where it fails."""
        if not self._changed or self._fd < 0:
            return
        # What lies between is written as it stands; places are few and near each other.
        begin, end = min(self._changed) * RECORD.size, (max(self._changed) + 1) * RECORD.size
        try:
            os.pwrite(self._fd, self._image[begin:end], begin)
        except OSError as exc:
            self._failed(exc)
            return
        self._changed.clear()
        if self._failing:
            self._failing = False
            logger.info("%s can be written again", self.path)

    def close(self) -> None:
        """Leave the file empty: this supervisor has ended as it should."""
        if self._fd >= 0:
            self.clear()
            os.close(self._fd)
            self._fd = -1

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
