"""``python -m workerd.worker.beat.program``: a beat beside the daemon that has started it.

The first line of stdin is an ``Argument``; it ends when stdin does, and at INT.  Each line of stdout is a
JSON object with what ``status`` shows; what the app prints goes to stderr, as the log does.

Exit codes: those of workerd; 78 for an app or a schedule that cannot be.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from workerd.app.loader import find_app, import_modules
from workerd.app.part import take_part
from workerd.app.running.preload import read_preload_options
from workerd.beat.running import run_beat
from workerd.beat.wake import Wake
from workerd.errors import ExitCode, UsageError, WorkerdError
from workerd.worker.beat.argument import Argument
from workerd.worker.log import logs

logger = logging.getLogger("workerd.beat")


def main() -> int:
    """Until the daemon ends it."""
    facts, wanted = os.dup(1), msgspec.json.decode(_first_line(), type=Argument)
    os.dup2(2, 1)
    multiprocessing.current_process().name = "beat"  # in each line of the log
    wake = Wake((signal.SIGINT,), until=0)
    logs.set_up(wanted.loglevel, wanted.log)

    def tell(found: Mapping[str, Any]) -> None:
        os.write(facts, msgspec.json.encode(found) + b"\n")

    try:
        _run(wanted, wake, tell)
    except (WorkerdError, UsageError) as exc:
        logger.error("Beat: %s", exc)
        return int(getattr(exc, "exit_code", ExitCode.CONFIG))
    finally:
        logs.settle()
    return int(ExitCode.OK)


def _run(wanted: Argument, wake: Wake, tell: Any) -> None:
    sys.path[:0] = [entry for entry in wanted.path if entry not in sys.path]
    app = find_app(wanted.app)
    read_preload_options(app, wanted.words)
    app.conf.update(wanted.settings)
    take_part(app, wanted.broker, wanted.backend, wanted.hostname)
    import_modules(app)
    logs.ask_app(wanted.loglevel, app.conf, wanted.log)
    run_beat(app, wanted.beat, wanted.app, wanted.name, wake, embedded=True, tell=tell)


def _first_line() -> bytes:
    """Byte by byte, so that nothing of stdin waits where ``Wake`` would not see it."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"\n", b""):
        line += byte
    return bytes(line)


if __name__ == "__main__":
    sys.exit(main())
