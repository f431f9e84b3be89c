"""``workerd beat``."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from workerd.cli.app_verb import AppVerb, user_words
from workerd.cli.clientapp import client_app
from workerd.cli.common import Common, common_options, example
from workerd.cli.periodic import listed, rest, run_now
from workerd.cli.settings import Duration, layers_of
from workerd.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.config import Config

_EXAMPLE = """
workerd -A proj beat
workerd -A proj beat list
workerd -A proj beat pause cleanup
"""

VERBS = ("list", "run", "pause", "resume")

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class BeatVerb(AppVerb):
    """Its own words may begin with one of ``VERBS``, and a name after that; the app has options only."""

    def divided(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str]]:
        own, others = super().divided(ctx, args)
        count = 0
        if others and not others[0].startswith("-"):
            count = 2 if len(others) > 1 and not others[1].startswith("-") else 1
        return [*own, *others[:count]], others[count:]


@click.command(cls=BeatVerb, kind="beat", epilog=example(_EXAMPLE))
@common_options
@click.argument("what", metavar="[list|run|pause|resume]", required=False, type=click.Choice(VERBS))
@click.argument("entry", metavar="[NAME]", required=False)
@click.option("--lease", type=Duration(), help="Silence after which another beat goes on.  [default: 10s]")
@click.option("--missed", metavar="run-once|skip", help="What becomes of missed ticks.  [default: run-once]")
@click.option("--json", "as_json", is_flag=True, help="With list: one JSON list, for programs.")
def command(
    common: Common,
    what: str | None,
    entry: str | None,
    lease: float | None,
    missed: str | None,
    as_json: bool,
) -> int:
    """Send the app's periodic tasks, in the foreground; or list them, run one now, or let one rest.

    Of all beats of an app, with those of daemons that were started with --beat, one is active at a time. list
    shows entries and when they are due; run NAME sends one at once; pause NAME lets one rest, on whatever
    node, until resume NAME. It stops at Ctrl-C and SIGTERM.
    """
    config = layers_of(common, **{"beat.lease": lease, "beat.missed": missed}).config()
    if not config.app:
        raise ConfigError("no app is named", "say which one: workerd -A proj beat")
    if (what in ("run", "pause", "resume")) != (entry is not None):
        raise UsageError(
            f"workerd beat {what or ''} {'takes no' if entry else 'needs a'} NAME. See `workerd beat --help`."
        )
    with client_app(common) as app:
        config = _with_app(app, common, lease, missed)
        options = user_words(click.get_current_context()).read(app)
        if what is None:
            return _serve(app, config, options)
        if what == "list":
            listed(app, config, as_json=as_json)
        elif what == "run":
            run_now(app, config, entry or "")
        else:
            rest(app, config, entry or "", paused=what == "pause")
    return int(ExitCode.OK)


def _with_app(app: App, common: Common, lease: float | None, missed: str | None) -> Config:
    layers = layers_of(common, **{"beat.lease": lease, "beat.missed": missed})
    defaults = {key: value for key, value in app.daemon_defaults().items() if key.startswith("beat.")}
    return layers.below("app.conf", defaults).config()


def _serve(app: App, config: Config, options: Mapping[str, Any]) -> int:
    # What only a beat that runs needs.
    from workerd.beat.running import run_beat  # noqa: PLC0415
    from workerd.beat.wake import Wake  # noqa: PLC0415
    from workerd.worker.log import logs  # noqa: PLC0415
    from workerd_pool import collector  # noqa: PLC0415

    logs.set_up(config.loglevel, config.log)
    logs.ask_app(config.loglevel, app.conf, config.log)
    app.check_safe()
    app.hostname = f"{config.name}@{app.hostname.partition('@')[2]}"
    collector.spare()
    run_beat(app, config.beat, config.app, config.name, Wake(STOPS), embedded=False, options=options)
    logs.settle()
    return int(ExitCode.OK)
