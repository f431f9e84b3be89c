"""The command line: what all verbs share; a verb is a file in ``verbs/``, loaded when it is typed."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from workerd_pool.collector import loading

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.  Without ``argv`` it is this process's own, which ends then."""
    try:
        with loading():
            # Not before: it makes the objects that the collector need not look through.
            from workerd.cli.group import run  # noqa: PLC0415

            return run(argv)
    except KeyboardInterrupt:  # Ctrl-C before anything has begun
        raise SystemExit(130) from None
    finally:
        if argv is None:
            gc.freeze()  # else Python would look through all of it once more, only to end
