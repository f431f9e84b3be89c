"""Name resolution: the one part of a connect that no signal interrupts, so its own patience is made short.

glibc asks a name server that does not answer for 5 seconds, twice.  Source: resolv.conf(5), RES_OPTIONS.
"""

from __future__ import annotations

import os

VARIABLE, SHORT = "RES_OPTIONS", "timeout:1 attempts:2"


def be_quick() -> None:
    """One second for each try, two tries, unless the environment says how long.

    For this process alone: ``putenv`` shows it to the C library and not to ``os.environ``, of which tasks and
    the code after an exec get theirs.
    """
    if VARIABLE not in os.environ:
        os.putenv(VARIABLE, SHORT)
