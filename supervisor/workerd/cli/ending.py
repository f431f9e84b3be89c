"""Wait for a process that is not our child."""

from __future__ import annotations

import os
import select


def wait_for_end(pid: int, within: float | None = None) -> bool:
    """True when ``pid`` has ended; False when it has not within so many seconds (None: no limit)."""
    if pid <= 0:
        return False
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(None if within is None else within * 1000.0))
    finally:
        os.close(handle)
