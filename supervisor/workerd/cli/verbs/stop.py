"""``workerd stop``."""

from __future__ import annotations

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.countdown import Countdown
from workerd.cli.ending import wait_for_end
from workerd.cli.settings import Duration
from workerd.control.client import HungUpError
from workerd.errors import ExitCode

_EXAMPLE = """
workerd stop
workerd stop --timeout 30s
workerd stop --now
"""

_MEANING: dict[int, str] = {ExitCode.GIVEN_BACK: ": what had not finished was given back to the broker"}


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.option("--now", is_flag=True, help="Do not drain: kill the children and give their work back.")
@click.option("--timeout", type=Duration(), help="Longest drain.  [default: as the daemon is configured]")
def command(common: Common, now: bool, timeout: float | None) -> int:
    """Drain a daemon and stop it; returns when its process has ended.

    Shows for which tasks it waits, and how long until the deadline. Then they are interrupted, have a grace
    period to clean up, and are killed. Ctrl-C ends only this command; the daemon goes on to stop.

    Exit 0 when all tasks have finished, and with --now; 75 when the deadline came first and work was given
    back.
    """
    stream = common.client().stream("stop", now=now, timeout=timeout)
    pid, countdown = 0, Countdown()
    try:
        for fact in stream:
            pid = fact.get("pid", pid)
            countdown.tell(fact)
    except HungUpError:
        # A daemon that is killed meanwhile cannot say how it ended.
        wait_for_end(pid)
        raise
    finally:
        countdown.end()
    wait_for_end(int(stream.value["pid"]))
    code = int(stream.value["code"])
    click.echo("stopped" if code == 0 else f"stopped with exit code {code}{_MEANING.get(code, '')}")
    return code
