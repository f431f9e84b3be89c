"""Standard output and error that cannot be written: closed (``>&-``), full, or a pipe that nobody reads."""

from __future__ import annotations

import errno
import os
import sys

import click

from workerd.errors import ExitCode

BROKEN_PIPE = 141
_UNWRITABLE = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def ensure() -> None:
    """Give ``sys.stdout`` something that fails when it is written, where the caller has closed it."""
    if sys.stdout is None:
        # Opened for reading; it also keeps the next file from becoming our output.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")


def finish() -> None:
    """Write what is left; what cannot be written is an OSError here and not at the interpreter's end."""
    if sys.stdout is not None:
        sys.stdout.flush()


def tell(text: str) -> None:
    """Write ``text`` to stderr; where that cannot be written, the exit code alone tells."""
    try:
        click.echo(text, err=True)
    except OSError:
        # Python would try once more at its end, and then exit with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def failed(exc: OSError) -> tuple[int, str] | None:
    """The exit code, and what to say, when ``exc`` is a failure of standard output; else None."""
    if isinstance(exc, BrokenPipeError):
        found = BROKEN_PIPE, ""
    elif exc.errno in _UNWRITABLE and exc.filename is None:
        found = int(ExitCode.FAILED), f"cannot write the output: {exc.strerror}"
    else:
        return None
    # Python would try, and complain, once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return found
