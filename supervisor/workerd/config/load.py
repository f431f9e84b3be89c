"""Read the settings from flags, ``WORKERD_*``, credentials, TOML files and ``app.conf``, in this precedence.

Each layer is a flat mapping of dotted keys, so that one rule serves all: the first layer that has a
key wins, and an unknown key is an error that names its place and the nearest known one.

Errors: ConfigError, one line; SettingsError with a line for each of several; PermissionDeniedError for a
file that cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from workerd.config.layer import ENVIRONMENT, Layer, from_credentials, from_environ, from_file, variable
from workerd.config.model import SECRET, URLS, Config, PoolConfig, dotted, tables
from workerd.config.parsers import PARSERS
from workerd.config.periodic import SCHEDULE, parse_schedule
from workerd.config.places import config_file, project_files, shared_files
from workerd.config.pools import POOL_KEYS, PREFIX, check_pools, nested, split_key
from workerd.errors import ConfigError, SettingsError, close_matches
from workerd.masking import masked, masked_setting
from workerd.paths import check_name

KEYS = (
    *dotted(n for n in Config.__struct_fields__ if n not in ("pools", *PoolConfig.__struct_fields__)),
    *POOL_KEYS,
)
"""Every setting but those of named pools, which are ``pools.NAME.`` and one of ``POOL_KEYS``."""


class Layers(msgspec.Struct, frozen=True):
    """Settings from every place, the strongest first."""

    layers: tuple[Layer, ...]

    def below(self, source: str, values: Mapping[str, Any]) -> Layers:
        """These layers with a weaker one added, such as ``app.conf``."""
        return Layers((*self.layers, Layer(source, values)))

    def get(self, key: str, default: Any = None) -> Any:
        """The strongest raw value of ``key``."""
        return next((layer.values[key] for layer in self.layers if key in layer.values), default)

    def source(self, key: str) -> str:
        """Where the value of ``key`` comes from."""
        return next((layer.place(key) for layer in self.layers if key in layer.values), "default")

    def config(self) -> Config:
        """All layers merged, checked and frozen."""
        flat: dict[str, Any] = {}
        for layer in reversed(self.layers):
            for key, value in layer.values.items():
                parsed = _parsed(key, value, layer.place(key))
                if key != "queues" or parsed:  # an empty list leaves it to the app
                    flat[key] = parsed
        config = _convert(flat, self)
        try:
            check_name(config.name)
        except ConfigError as exc:
            raise _wrong("name", config.name, self.source("name"), exc.hint) from exc
        check_pools(config)
        return config


def load_layers(
    flags: Mapping[str, Any], path: Path | None = None, environ: Mapping[str, str] | None = None
) -> Layers:
    """The layers of flags (None means not given), environment and files, in this precedence.

    With ``path`` that is the only file.
    """
    environ = os.environ if environ is None else environ
    given = {key: value for key, value in flags.items() if value not in (None, (), [])}
    layers = [Layer("the command line", given), *from_environ(environ, KEYS), *from_credentials(environ)]
    files = [path] if path is not None else _own_files(layers)
    layers += [from_file(file, environ) for file in files]
    if path is None:
        layers += _of_project(layers, environ)
    _raise(error for layer in layers for error in _mistakes(layer))
    return Layers(tuple(layers))


def _own_files(layers: Sequence[Layer]) -> list[Path]:
    name = str(_first("name", layers, Config().name))
    own = config_file(name)
    return [*([own] if own is not None else []), *shared_files()]


def _of_project(layers: Sequence[Layer], environ: Mapping[str, str]) -> list[Layer]:
    """What the project says that lies where the daemon works."""
    directory = Path(_first("chdir", layers, "") or Path.cwd())
    found = [from_file(file, environ) for file in project_files(directory)]
    for layer in found:
        if "chdir" in layer.values:
            raise ConfigError(
                f"chdir cannot stand in {layer.place('chdir')}, which is found by it",
                "set it on the command line or in the daemon's own file",
            )
    return found


def _first(key: str, layers: Sequence[Layer], default: Any) -> Any:
    return next((layer.values[key] for layer in layers if key in layer.values), default)


def _raise(errors: Iterator[ConfigError]) -> None:
    match list(errors):
        case []:
            return
        case [error]:
            raise error
        case several:
            raise SettingsError(several)


def _mistakes(layer: Layer) -> Iterator[ConfigError]:
    """Keys that are none, and values that cannot be."""
    for key, value in layer.values.items():
        try:
            _check_key(key, value, layer)
            _parsed(key, value, layer.place(key))
        except ConfigError as exc:
            yield exc


def _check_key(key: str, value: Any, layer: Layer) -> None:
    place = layer.place(key)
    if f"{key}." == PREFIX:
        raise _wrong(key, value, place, f"write [{PREFIX}NAME]")
    if not key.startswith(PREFIX):
        _check_known(key, key, KEYS, layer)
        return
    pool, setting = split_key(key, place)
    if setting:
        _check_known(setting, key, POOL_KEYS, layer)
    elif value != {}:
        raise ConfigError(
            f"pool {pool!r} from {place} cannot be {value!r}",
            f"write its settings below [{PREFIX}{pool}]",
        )


def _check_known(key: str, full: str, known: Sequence[str], layer: Layer) -> None:
    """``full`` is ``key`` with the pool that it belongs to."""
    if key in known:
        return
    near = close_matches(key.replace("_", "."), known, n=1) or close_matches(key, known, n=1)
    spelt = variable if layer.source == ENVIRONMENT else repr
    prefix = full.removesuffix(key)
    hint = f"did you mean {spelt(prefix + near[0])}?" if near else f"known settings: {', '.join(known)}"
    raise ConfigError(f"unknown setting {full!r} in {layer.place(full)}", hint)


def _parsed(key: str, value: Any, place: str) -> Any:
    if key == SCHEDULE:
        parser: Any = parse_schedule
    else:
        parser = PARSERS.get(split_key(key, place)[1] if key.startswith(PREFIX) else key)
    try:
        return parser(value) if parser is not None else value
    except (ValueError, TypeError) as exc:
        raise _wrong(key, value, place, str(exc)) from exc


def _wrong(key: str, value: Any, place: str, hint: str) -> ConfigError:
    return ConfigError(f"setting {key!r} from {place} cannot be {_told(key, value)}", hint)


def _told(key: str, value: Any) -> str:
    """The value, without what is secret in it."""
    if key in SECRET:
        return "what it is"
    if key in URLS and isinstance(value, str):
        return repr(masked(value))
    return repr(masked_setting(key, value))


def _convert(flat: Mapping[str, Any], layers: Layers) -> Config:
    top = tables({key: value for key, value in flat.items() if not key.startswith(PREFIX)})
    top["pools"] = nested(flat)
    try:
        return msgspec.convert(top, Config, strict=False)
    except msgspec.ValidationError as exc:
        key = str(exc).rpartition("`$.")[2].rstrip("`").partition("[")[0]
        hint = str(exc).partition(" - at ")[0]
        raise _wrong(key, layers.get(key), layers.source(key), hint) from exc
