"""``workerd restart``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.countdown import Countdown
from workerd.cli.ending import wait_for_end
from workerd.cli.settings import Duration
from workerd.control.client import ControlClient, HungUpError
from workerd.errors import UnavailableError, WorkerdError

_LOOK = 0.1  # seconds between two looks for the new code


@click.command(epilog=example("workerd restart\nworkerd restart --timeout 2m"))
@common_options
@click.option("--timeout", type=Duration(), default="15m", show_default=True, help="Longest wait.")
def command(common: Common, timeout: float) -> None:
    """Drain, then start the daemon's new code in the same process.

    Waits until the new code takes tasks.  When it cannot be started, the old one goes on serving (exit 1).
    When its children do not start, says why: they are tried again, also once this command has ended.
    """
    deadline = time.monotonic() + timeout
    client = common.client()
    pid, before, countdown = 0, "", Countdown()
    try:
        for fact in client.stream("restart", patience=timeout):
            if fact["event"] == "restarting":
                pid, before = int(fact["pid"]), str(fact["incarnation"])
            countdown.tell(fact)
    except HungUpError:
        # The end of the old code's socket; without its first fact it is not known to have begun.
        if not pid:
            raise
    finally:
        countdown.end()
    wait_for_new(client, pid, before, deadline)
    click.echo(f"restarted (pid {pid})")


def wait_for_new(client: ControlClient, pid: int, before: str, deadline: float) -> None:
    """Return when another incarnation than ``before`` answers and has a child that takes tasks.

    Why there is none yet is said each time that it changes.

    Errors: WorkerdError when ``pid`` ends instead, UnavailableError at the deadline (monotonic).
    """
    said = ""
    while time.monotonic() < deadline:
        try:
            found = client.call("status", patience=5.0)
            if found["incarnation"] != before:
                pools = found.get("pools") or ()
                if any(pool["alive"] for pool in pools):
                    return
                if (why := troubles(pools)) not in ("", said):
                    said = why
                    click.echo(f"no task is taken yet: {why}", err=True)
        except UnavailableError:
            if wait_for_end(pid, within=_LOOK):
                raise WorkerdError(f"the daemon (pid {pid}) ended instead", "see its log") from None
        else:
            time.sleep(_LOOK)
    raise UnavailableError("the new code takes no tasks yet", "see the daemon's log and `workerd status`")


def troubles(pools: Sequence[Mapping[str, Any]]) -> str:
    """Why pools are degraded, in one line; nothing when none is."""
    return "; ".join(f"pool {pool['name']}: {pool['degraded']}" for pool in pools if pool.get("degraded"))
