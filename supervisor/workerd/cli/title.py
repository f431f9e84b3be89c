"""What others see of the command line: ``ps`` shows it to every user of the machine."""

from __future__ import annotations

import sys

from workerd.masking import masked


def hide_secrets() -> None:
    """Have ``ps`` show URLs that were typed without their passwords; from now on, not from the first moment.

    ``sys.orig_argv``, with which a daemon starts itself anew, stays.
    """
    words = [masked(word) if "://" in word else word for word in sys.orig_argv]
    if words != sys.orig_argv:
        from setproctitle import setproctitle  # noqa: PLC0415 (for those who have typed a secret)

        setproctitle(" ".join(words))
