"""Become the server, as a process that ends with its supervisor: ``launcher.py PARENT_PID ARGV...``.

The signals that are blocked stay blocked (``process.FOR_THE_SUPERVISOR``).

Run as a script under ``python -I -S``.  The supervisor itself never forks without exec, so what must
happen between the two happens here.  Exit 71 when the kernel refuses.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, argv: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
        sys.exit(71)
    # The signal is only sent for a death from now on; an earlier one shows as another parent.
    if os.getppid() != parent:
        sys.exit(0)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
