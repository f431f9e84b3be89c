"""``workerd limit``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.settings import Duration
from workerd.cli.table import seconds_text

_EXAMPLE = """
workerd limit proj.encode
workerd limit proj.encode --soft 50s --hard 1m
workerd limit proj.encode --hard none
workerd limit proj.encode --reset
"""


class Limit(Duration):
    """A time, or ``none``, which is 0 to the daemon."""

    name = "TIME|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return 0.0 if value == "none" else super().convert(value, param, ctx)


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("task")
@click.option("--soft", type=Limit(), help="Raise SoftTimeLimitExceeded in runs that take longer.")
@click.option("--hard", type=Limit(), help="Kill the child of runs that take longer.")
@click.option("--reset", is_flag=True, help="Back to what the task, the settings and the app say.")
def command(common: Common, task: str, soft: float | None, hard: float | None, reset: bool) -> None:
    """Change the time limits of TASK while the daemon runs, or show them.

    They count from the start of a run, and hold for runs that go on too: one that is over a new limit already
    is interrupted now, or killed in a second. They go before the limit of a message, survive a reload, and
    end with a restart.
    """
    if reset and (soft is not None or hard is not None):
        raise click.UsageError("--reset goes without --soft and --hard.", click.get_current_context())
    found = common.client().call("limit", task=task, soft=soft, hard=hard, reset=reset)
    click.echo("\n".join(lines(found)))


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The daemon's answer in words; a line for each pool where they differ."""
    by = " (set by an operator)" if found["set"] else ""
    texts = {
        pool: ", ".join(f"{name} limit {seconds_text(limits[name])}" for name in ("soft", "hard"))
        for pool, limits in found["pools"].items()
    }
    if len(set(texts.values())) == 1:
        texts = {"": next(iter(texts.values()))}
    for pool, text in texts.items():
        where = f" in pool {pool}" if pool else ""
        yield f"{found['task']}{where}: {text}{by}; {found['running']} running"
