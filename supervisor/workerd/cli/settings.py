"""Settings as typed on the command line; apart from ``common`` because only some verbs pay for msgspec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workerd.config import Layers, load_layers
from workerd.config.parsers import parse_duration
from workerd.config.pools import parse_pool

if TYPE_CHECKING:
    from workerd.cli.common import Common

_SETTINGS = ("app", "name", "broker", "backend", "loglevel", "size", "queues", "exclude_queues")


def layers_of(common: Common, **flags: Any) -> Layers:
    """The settings of flags, environment and file; ``flags`` are a verb's own.  Errors: ConfigError."""
    typed: dict[str, Any] = {name: getattr(common, name) for name in _SETTINGS}
    for text in common.pools:
        typed |= parse_pool(text)
    return load_layers(typed | flags, Path(common.config) if common.config else None)


class Word(click.ParamType[str]):
    """Text that is not empty."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("it must not be empty.", param, ctx)
        return str(value)


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: ``90``, ``90s``, ``10m``, ``2h``."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(f"{value!r}: {exc}.", param, ctx)
