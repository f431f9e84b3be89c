"""Standard streams that are closed (``>&-``), and output that cannot be written: full, or read by nobody."""

from __future__ import annotations

import errno
import os
import sys

import click

from workerd.errors import ExitCode

BROKEN_PIPE = 141
_UNWRITABLE = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def ensure() -> None:
    """Open what the caller has closed of descriptors 0 to 2, else sockets and locks would take their places.

    What is written to such an output fails, and what is written to such a stderr is lost.
    """
    for fd, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # the lowest one that is free: those below it are there
            os.set_inheritable(fd, True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def finish() -> None:
    """Write what is left; what cannot be written is an OSError here and not at the interpreter's end."""
    if sys.stdout is not None:
        sys.stdout.flush()


def tell(text: str) -> None:
    """Write ``text`` to stderr; where that cannot be written, the exit code alone tells."""
    try:
        click.echo(text, err=True)
    except OSError:
        _give_up_stderr()


def settle() -> None:
    """Write what stderr still holds, such as the last line of a log, or give it up."""
    try:
        sys.stderr.flush()
    except OSError:
        _give_up_stderr()


def _give_up_stderr() -> None:
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
