"""A child's standard streams: two pipes to the supervisor, which makes log lines of what comes.

A job that prints nothing costs no read and no write: one ioctl a pipe asks whether something is in
it, so that output of C code and of other programs counts as well as Python's.  Only then a mark
follows it, and the DONE frame tells the supervisor to read as far as that before it tells of the end.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
import termios
from collections.abc import Collection

from workerd_pool.lines import mark

OUT, ERR = 1, 2

_ioctl, _FIONREAD, _NOTHING = fcntl.ioctl, termios.FIONREAD, bytes(4)


def set_up() -> None:
    """Python's own streams, in the template: whole lines leave at once, and any text can be written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def take(out: int, err: int) -> None:
    """Let the descriptors 1 and 2 be these two, which are closed."""
    for fd, target in ((out, OUT), (err, ERR)):
        os.dup2(fd, target)
        os.close(fd)


def flush() -> None:
    """Write out what Python still holds of stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # Closed or replaced by task code; there is nowhere left to say so.
            continue


class Streams:
    """Ends the output of one job after the other."""

    def __init__(self, out: int = OUT, err: int = ERR) -> None:
        self._pipes = ((1, out, OUT), (2, err, ERR))
        self._unread = bytearray(4)

    def end(self, job_id: int, sound: Collection[int] = (OUT, ERR)) -> int:
        """The job has ended and Python's streams are flushed: mark that in each pipe that is not empty.

        Returns the bits of those, the lowest for stdout.
        ``sound`` are the descriptors that are still the pipes.
        """
        marked = 0
        for bit, fd, target in self._pipes:
            if target in sound:
                _ioctl(fd, _FIONREAD, self._unread)
                if self._unread != _NOTHING:
                    # An event loop of the job's may have made it non-blocking, which the next job inherits.
                    os.set_blocking(fd, True)
                    os.write(fd, mark(job_id))
                    marked |= bit
        return marked
