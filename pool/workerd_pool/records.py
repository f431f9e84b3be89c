"""Log records on their way through stderr: one line in the pipe, a record with its level and name again.

They go the way of everything else that is printed, so they keep their place in it, have their job,
and come also from the template and from processes that a job forks.

Units:  bytes.
"""

from __future__ import annotations

import logging
import os
import re
from typing import NamedTuple

from workerd_pool.errors import INTERRUPTIONS

STDERR = 2
LONGEST = 64 * 1024
"""A longer text is cut in several records."""
MOST = 3 * LONGEST
"""No line of a record is longer than this, with its newlines escaped and its name."""

BEGIN = b"\0log "
_HEAD = re.compile(rb"(\d{1,9}) ([^\0\n]*)\0")
_NEWLINE = b"\0n"  # within a record


class Text(NamedTuple):
    """What was printed; ``level`` and ``logger`` are those of a record."""

    text: str
    level: int | None = None
    logger: str = ""


class RecordHandler(logging.Handler):
    """Writes records to the supervisor, which logs them under their own level and name."""

    def emit(self, record: logging.LogRecord) -> None:
        """One write for each record, unless it is very long."""
        try:
            for line in _lines(record.levelno, record.name, self.format(record)):
                _write(line)
        except INTERRUPTIONS:
            # They are the job's, which they are to end; logging's own handlers swallow them.
            raise
        except Exception:  # noqa: BLE001 - logging's own way with errors in a handler
            self.handleError(record)


def texts(line: bytes) -> list[Text]:
    """What one line from a pipe says; a record may begin in the middle of it."""
    if b"\0" not in line:
        return [Text(_decode(line))]
    before, begin, record = line.partition(BEGIN)
    head = _HEAD.match(record) if begin else None
    if head is None:
        return [Text(_decode(line))]
    told = Text(_decode(record[head.end() :].replace(_NEWLINE, b"\n")), int(head[1]), _decode(head[2]))
    return [Text(_decode(before)), told] if before else [told]


def _lines(level: int, name: str, text: str) -> list[bytes]:
    head = BEGIN + b"%d %s\0" % (max(level, 0), _encode(name).replace(b"\n", b" "))
    body = _encode(text)
    parts = [body[at : at + LONGEST] for at in range(0, max(len(body), 1), LONGEST)]
    return [head + part.replace(b"\n", _NEWLINE) + b"\n" for part in parts]


def _encode(text: str) -> bytes:
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")


def _decode(line: bytes) -> str:
    text = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00")


def _write(line: bytes) -> None:
    while line:
        line = line[os.write(STDERR, line) :]
