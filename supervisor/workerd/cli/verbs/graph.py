"""``workerd graph``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import click

from workerd.app import App, load_app
from workerd.bin.user_words import UserWords
from workerd.bootsteps.figure import FORMATS, chart_of
from workerd.cli.clientapp import NO_APP
from workerd.cli.common import Common, common_options, example
from workerd.cli.settings import layers_of
from workerd.worker.run import with_app
from workerd.worker.steps.unstarted import unstarted

_EXAMPLE = """
workerd -A proj graph bootsteps
workerd -A proj graph bootsteps --format svg > bootsteps.svg
"""


@click.command(epilog=example(_EXAMPLE))
@common_options
@click.argument("what", type=click.Choice(["bootsteps"]))
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="text", help="[default: text]")
def command(common: Common, what: str, kind: str) -> None:
    """Draw which steps a daemon has, and which of them start after which.

    The steps are made as for a start, and none is started. Without -A they are the daemon's own.
    """
    layers = layers_of(common)
    with redirect_stdout(sys.stderr):  # what the app and its steps print is no part of the figure
        config = layers.config()
        app = load_app(config.app, config.chdir) if config.app else App(NO_APP)
        options = UserWords("workerd graph", "worker").defaults(app)
        with unstarted(app, with_app(layers, app), **options) as worker:
            charts = [chart_of(worker.blueprint), chart_of(worker.consumer.blueprint)]
    click.echo(FORMATS[kind](charts), nl=False)
