"""A process that a task has forked, when it comes back to our code as if it were the child.

It has no supervisor, no result to tell and nothing to send: it ends as a program of its own would.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from workerd.app.running.trace import Run
from workerd.protocol.failure import safe_repr


def leave(run: Run, title: str) -> NoReturn:
    """End this process: with the code of a SystemExit, with 1 after another exception, else with 0."""
    code, words = _ending(run, title)
    try:
        if words:
            print(words, file=sys.stderr)  # noqa: T201 (it ends in the log, with the task's name)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        # No exit hooks: they belong to the process that it was forked from.
        os._exit(code)


def _ending(run: Run, title: str) -> tuple[int, str]:
    if run.traceback is None:
        return 0, f"process {os.getpid()}, which {title} forked, came back from the task; it ends here"
    raised = run.value.__cause__ if isinstance(run.value, BaseException) else None
    if not isinstance(raised, SystemExit):
        return 1, run.traceback.rstrip()
    if raised.code is None or isinstance(raised.code, int):
        return (raised.code or 0) & 0xFF, ""
    return 1, raised.code if isinstance(raised.code, str) else safe_repr(raised.code)
