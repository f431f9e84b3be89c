"""The last moment of the process: nothing may hold it up any more, and nothing may change its exit code.

Units: seconds.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Collection

logger = logging.getLogger(__name__)

PATIENCE = 0.5
"""Python would wait for ever for a thread that an app has started in the supervisor."""


def hear_nothing_more() -> None:
    """From here on a signal changes nothing: with the handlers gone it would kill, and be the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def do_not_wait_for(threads: Collection[threading.Thread], code: int) -> None:
    """Exit with ``code`` in a moment, if any of these threads is still there to be waited for."""
    names = sorted(thread.name for thread in threads if thread.is_alive() and not thread.daemon)
    if names:
        logger.warning("Not waiting for threads of the app: %s", ", ".join(names))
        threading.Thread(target=_exit, args=(code,), daemon=True).start()


def _exit(code: int) -> None:
    time.sleep(PATIENCE)
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:  # also when nobody reads them any more
        os._exit(code)
