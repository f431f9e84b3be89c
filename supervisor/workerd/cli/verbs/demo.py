"""``workerd demo``."""

from __future__ import annotations

from pathlib import Path

import click

from workerd.cli.common import Common, common_options, daemon_options, example
from workerd.demo.ending import Ended, ended_by_signals
from workerd.demo.run import run_demo

_EXAMPLE = """
workerd demo
workerd demo /usr/share/doc --size 4
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@daemon_options
@click.argument("directory", required=False, type=click.Path(path_type=Path))
def command(common: Common, directory: Path | None) -> int:
    """Run a daemon on real files and check what it has done.

    Starts a daemon with the embedded broker, gives it one task for every file under DIRECTORY (Python's
    standard library), checks all results against a direct computation, and stops it.
    """
    try:
        with ended_by_signals():
            return run_demo(directory, common.size)
    except Ended as exc:
        return 128 + exc.signum  # as shells tell of it
