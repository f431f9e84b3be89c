"""``workerd limit``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.settings import Duration
from workerd.cli.table import seconds_text
from workerd.protocol.rate import Rate, parse_rate

_EXAMPLE = """
workerd limit proj.encode
workerd limit proj.encode --soft 50s --hard 1m
workerd limit proj.encode --hard none
workerd limit proj.encode --rate 10/m
workerd limit proj.encode --reset
"""


class Limit(Duration):
    """A time, or ``none``, which is 0 to the daemon."""

    name = "TIME|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return 0.0 if value == "none" else super().convert(value, param, ctx)


class RateLimit(click.ParamType[Any]):
    """Starts for a time, or ``none``, which is 0 to the daemon."""

    name = "RATE|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        try:
            parse_rate(0 if value == "none" else value)
        except ValueError as exc:
            self.fail(f"{value!r}: {exc}", param, ctx)
        return 0 if value == "none" else str(value)


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("task")
@click.option("--soft", type=Limit(), help="Raise SoftTimeLimitExceeded in runs that take longer.")
@click.option("--hard", type=Limit(), help="Kill the child of runs that take longer.")
@click.option("--rate", type=RateLimit(), help="Begin so many runs: 10/s, 10/m, 10/h, on this node.")
@click.option("--reset", is_flag=True, help="Back to what the task, the settings and the app say.")
def command(
    common: Common, task: str, soft: float | None, hard: float | None, rate: Rate, reset: bool
) -> None:
    """Change the limits of TASK while the daemon runs, or show them.

    Those of time count from the start of a run, and hold for runs that go on too: one that is over a new
    limit already is interrupted now, or killed in a second. They go before the limit of a message. What comes
    faster than its rate waits for its turn, and other tasks go on. All limits survive a reload, and end with
    a restart.
    """
    if reset and any(limit is not None for limit in (soft, hard, rate)):
        raise click.UsageError("--reset goes without other limits.", click.get_current_context())
    found = common.client().call("limit", task=task, soft=soft, hard=hard, rate=rate, reset=reset)
    click.echo("\n".join(lines(found)))


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The daemon's answer in words; a line for each pool where they differ."""
    by = " (set by an operator)" if found["set"] else ""
    rate = f", rate limit {found['rate']}" if found["rate"] != "none" or "rate" in found["set"] else ""
    waiting = f", {found['waiting']} waiting for their turn" if found["waiting"] else ""
    texts = {
        pool: ", ".join(f"{name} limit {seconds_text(limits[name])}" for name in ("soft", "hard"))
        for pool, limits in found["pools"].items()
    }
    if len(set(texts.values())) == 1:
        texts = {"": next(iter(texts.values()))}
    for pool, text in texts.items():
        where = f" in pool {pool}" if pool else ""
        yield f"{found['task']}{where}: {text}{rate}{by}; {found['running']} running{waiting}"
