"""``workerd config``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import click

from workerd.backends.url import shown
from workerd.cli.common import Common, common_options, example
from workerd.cli.report import complain, told
from workerd.cli.settings import layers_of
from workerd.config import Layers
from workerd.config.load import KEYS
from workerd.config.model import SECRET
from workerd.config.pools import POOL_KEYS, PREFIX
from workerd.config.schema import schema
from workerd.errors import ConfigError

HIDDEN = "***"
SIZES = frozenset({"memory_budget", "max_memory_per_child", "soft_memory_limit", "memory_limit"})
UNITS = (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10))


@click.command(epilog=example("workerd config --explain -A proj\nworkerd config --name mail"))
@common_options
@click.option("--explain", is_flag=True, help="Say also where each value comes from.")
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON Schema of settings files instead.")
@click.option("--celery", is_flag=True, help="Tell of every setting of Celery's what becomes of it here.")
def command(common: Common, explain: bool, as_schema: bool, celery: bool) -> int:
    """Print the settings that a daemon would start with.

    With -A those of the app's own configuration count too. Passwords and keys are hidden.
    """
    if as_schema:
        click.echo(json.dumps(schema(), indent=2))
        return 0
    layers = layers_of(common)
    if celery:
        from workerd.app.settings.explain import of_celery  # noqa: PLC0415 (as below)

        click.echo("\n".join(f"{name}: {why}" for name, why in of_celery()))
        return 0
    code, app, config = 0, None, layers.config()
    if config.app:
        # Loading an app takes time; who names none does not pay for it.
        from workerd.app.loader import load_app  # noqa: PLC0415
        from workerd.worker.run import above_app  # noqa: PLC0415

        try:
            with redirect_stdout(sys.stderr):  # what the app prints is no setting
                app = load_app(config.app, config.chdir)
                layers = above_app(layers, app)
        except ConfigError as exc:
            # All others are still worth a look, above all when the app does not start.
            code = told(exc, common.debug)
            complain("the settings of the app itself are not known; these are all others")
    click.echo("\n".join(lines(layers, explain)))
    if app is not None and explain:
        from workerd.app.settings.explain import of_app  # noqa: PLC0415

        for setting, why in of_app(app.conf, layers.source):
            click.echo(f"# app.conf.{setting}: {why}")
    return code


def lines(layers: Layers, explain: bool) -> Iterator[str]:
    """A line for each setting, in the order of the reference; a pool has those that it does not share."""
    config = layers.config()
    found = {key: _value(config, key) for key in KEYS}
    for name, pool in config.pools.items():
        found |= {
            f"{PREFIX}{name}.{key}": _value(pool, key)
            for key in POOL_KEYS
            if key == "queues" or _value(pool, key) != found[key]
        }
    for key, value in found.items():
        said = value is not None or key == "memory_budget"
        line = f"{key} = {text_of(key, value)}" if said else f"# {key}: as the app and its tasks say"
        yield f"{line:<50}  # {layers.source(key)}" if explain else line


def text_of(key: str, value: Any) -> str:
    """A value as a settings file has it, without what is secret."""
    setting = key.rpartition(".")[2]
    if key in SECRET and value:
        return json.dumps(HIDDEN)
    if value is None:
        value = "auto"
    if setting in ("broker", "backend"):
        value = [shown(url) for url in value] if isinstance(value, tuple) else shown(value)
    if setting == "size":
        lower, upper = value
        value = lower if lower == upper else f"{lower}-{upper}"
    if setting in SIZES and isinstance(value, int) and value:
        unit, size = next((pair for pair in UNITS if value % pair[1] == 0), UNITS[-1])
        value = f"{value / size:g}{unit}"
    if isinstance(value, float):
        value = "none" if math.isinf(value) else f"{value:g}s" if setting != "max_load" else value
    return json.dumps(value)


def _value(struct: Any, key: str) -> Any:
    for name in key.split("."):
        struct = getattr(struct, name)
    return struct
