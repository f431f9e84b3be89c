"""The demo's app: one task a file, which reads it and tells what it holds.

It is an app like any other: ``workerd -A workerd.demo.filestats start``.
"""

from __future__ import annotations

import errno
import hashlib
from typing import Any

from workerd import App, Task

app = App("filestats")

# A machine that is short of something may have it a moment later.
PASSING = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})


@app.task(bind=True, max_retries=5)
def measure(self: Task, path: str) -> dict[str, Any]:
    """``path`` with its sha256 (hex), bytes and lines; or with ``error`` when it cannot be read."""
    try:
        found = contents(path)
    except OSError as exc:
        if exc.errno in PASSING:
            raise self.retry(exc=exc, countdown=0.5) from exc
        found = {"error": exc.strerror or repr(exc)}
    return {"path": path, "retries": self.request.retries, **found}


def contents(path: str) -> dict[str, Any]:
    """What the file holds.  Errors: OSError."""
    digest, size, lines = hashlib.sha256(), 0, 0
    with open(path, "rb") as file:  # noqa: PTH123 - a text, as it came in the message
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
    return {"sha256": digest.hexdigest(), "bytes": size, "lines": lines}
