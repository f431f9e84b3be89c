"""``workerd scale``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from workerd.cli.common import Common, common_options, example
from workerd.cli.table import counted

_EXAMPLE = """
workerd scale 8
workerd scale +2
workerd scale video 2-8
workerd scale -1 --dry-run
"""


@click.command(epilog=example(_EXAMPLE), context_settings={"ignore_unknown_options": True})
@common_options
@click.argument("words", metavar="[POOL] SPEC", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
def command(common: Common, words: tuple[str, ...], dry_run: bool) -> None:
    """Change the number of slots: SPEC is 8, +2, -1 or 2-8.

    Without POOL that of the default pool.  Children that have no task leave at once, the others after it.
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("Write [POOL] SPEC, such as `workerd scale 8`.", click.get_current_context())
    pool = words[0] if len(words) == 2 else "default"
    size = common.client().call("scale", spec=words[-1], pool=pool, dry_run=dry_run)
    click.echo("\n".join(lines(size)))


def lines(size: Mapping[str, Any]) -> Iterator[str]:
    """The daemon's answer in words."""
    lower, upper, wanted, was = (size[key] for key in ("lower", "upper", "wanted", "was"))
    bounds = f"{lower}-{upper}" if lower != upper else f"{lower}"
    pool = f"pool {size['pool']}, " if size["pool"] != "default" else ""
    if not size["dry_run"]:
        yield f"{pool}size {bounds}: {counted(wanted, 'slot')} wanted, {was} before"
        return
    yield f"{pool}size {bounds}: {counted(wanted, 'slot')} would be wanted, {was} now ({size['alive']} alive)"
    if wanted > was:
        yield f"  {wanted - was} would start"
    for child in size["leaving"]:
        when = f"after {child['after']}" if child["after"] else "at once"
        yield f"  child {child['slot']} (pid {child['pid']}) would leave {when}"
