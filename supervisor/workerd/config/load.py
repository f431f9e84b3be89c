"""Read the settings from flags, ``WORKERD_*``, TOML and ``app.conf``, in this precedence.

Each layer is a flat mapping of dotted keys, so that one rule serves all: the first layer that has a
key wins, and an unknown key is an error that names its place and the nearest known one.

Errors: ConfigError, one line; PermissionDeniedError for a file that cannot be read.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from workerd.config.model import Config, PoolConfig, dotted, tables
from workerd.config.parsers import PARSERS
from workerd.config.pools import POOL_KEYS, PREFIX, check_pools, nested, split_key
from workerd.errors import ConfigError, PermissionDeniedError
from workerd.paths import check_name

# WORKERD_ variables that are not settings: they place the roots before any setting is known.
_NOT_SETTINGS = {"WORKERD_STATE_DIR", "WORKERD_RUNTIME_DIR", "WORKERD_CONFIG", "WORKERD_KEPT_LOCKS"}

_ENVIRONMENT = "the environment (WORKERD_*)"

KEYS = (
    *dotted(n for n in Config.__struct_fields__ if n not in ("pools", *PoolConfig.__struct_fields__)),
    *POOL_KEYS,
)
"""Every setting but those of named pools, which are ``pools.NAME.`` and one of ``POOL_KEYS``."""


@dataclass(frozen=True)
class Layer:
    """Settings from one place; ``source`` is how an operator would name that place."""

    source: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Layers:
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
        return next((layer.source for layer in self.layers if key in layer.values), "default")

    def config(self) -> Config:
        """All layers merged, checked and frozen."""
        flat: dict[str, Any] = {}
        for layer in reversed(self.layers):
            for key, value in layer.values.items():
                parsed = _parsed(key, value, layer.source)
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
    """The layers of flags (None means not given), environment and file, in this precedence."""
    given = {key: value for key, value in flags.items() if value not in (None, (), [])}
    layers = [Layer("the command line", given)]
    layers.append(_from_environ(os.environ if environ is None else environ))
    name = next((layer.values["name"] for layer in layers if "name" in layer.values), Config().name)
    if (file := path or config_file(str(name))) is not None:
        layers.append(_from_file(file))
    for layer in layers:
        _check_keys(layer.values, layer.source)
    return Layers(tuple(layers))


def config_file(name: str) -> Path | None:
    """``<configuration root>/<name>.toml`` if there is one."""
    if os.geteuid() == 0:
        root = Path("/etc/workerd")
    else:
        base = os.environ.get("XDG_CONFIG_HOME")
        root = (Path(base) if base else Path.home() / ".config") / "workerd"
    file = root / f"{check_name(name)}.toml"
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # who reads it is told what is wrong with it
    return file


def _from_environ(environ: Mapping[str, str]) -> Layer:
    values = {}
    for variable, text in environ.items():
        if variable.startswith("WORKERD_") and variable not in _NOT_SETTINGS:
            values[variable.removeprefix("WORKERD_").lower().replace("__", ".")] = text
    return Layer(_ENVIRONMENT, values)


def _variable(key: str) -> str:
    return "WORKERD_" + key.replace(".", "__").upper()


def _from_file(file: Path) -> Layer:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except PermissionError as exc:
        raise PermissionDeniedError(
            f"cannot read {file}: {exc.strerror}", "check its owner and mode, and those of its directory"
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"cannot read {file}: {exc.strerror}", "name an existing file with --config"
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file} is not TOML: {exc}", "mend the file") from exc
    return Layer(str(file), dict(_flatten(data)))


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and (value or prefix != PREFIX):  # an empty pool is a mistake to tell
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_keys(values: Mapping[str, Any], source: str) -> None:
    for key, value in values.items():
        if f"{key}." == PREFIX:
            raise _wrong(key, value, source, f"write [{PREFIX}NAME]")
        if not key.startswith(PREFIX):
            _check_key(key, key, KEYS, source)
            continue
        pool, setting = split_key(key, source)
        if setting:
            _check_key(setting, key, POOL_KEYS, source)
        elif value != {}:
            raise ConfigError(
                f"pool {pool!r} from {source} cannot be {value!r}",
                f"write its settings below [{PREFIX}{pool}]",
            )


def _check_key(key: str, full: str, known: Sequence[str], source: str) -> None:
    """``full`` is ``key`` with the pool that it belongs to."""
    if key in known:
        return
    near = get_close_matches(key.replace("_", "."), known, n=1) or get_close_matches(key, known, n=1)
    spelt = _variable if source == _ENVIRONMENT else repr
    prefix = full.removesuffix(key)
    hint = f"did you mean {spelt(prefix + near[0])}?" if near else f"known settings: {', '.join(known)}"
    raise ConfigError(f"unknown setting {full!r} in {source}", hint)


def _parsed(key: str, value: Any, source: str) -> Any:
    parser = PARSERS.get(split_key(key, source)[1] if key.startswith(PREFIX) else key)
    try:
        return parser(value) if parser is not None else value
    except (ValueError, TypeError) as exc:
        raise _wrong(key, value, source, str(exc)) from exc


def _wrong(key: str, value: Any, source: str, hint: str) -> ConfigError:
    return ConfigError(f"setting {key!r} from {source} cannot be {value!r}", hint)


def _convert(flat: Mapping[str, Any], layers: Layers) -> Config:
    top = tables({key: value for key, value in flat.items() if not key.startswith(PREFIX)})
    top["pools"] = nested(flat)
    try:
        return msgspec.convert(top, Config, strict=False)
    except msgspec.ValidationError as exc:
        key = str(exc).rpartition("`$.")[2].rstrip("`").partition("[")[0]
        hint = str(exc).partition(" - at ")[0]
        raise _wrong(key, layers.get(key), layers.source(key), hint) from exc
