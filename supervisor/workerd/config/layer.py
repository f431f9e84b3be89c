"""``Layer``: settings from one place, as flat dotted keys; and how each kind of place is read.

What is secret need not stand in the settings themselves.  It can be in a file of its own, which
``broker = { file = "..." }`` or ``WORKERD_BROKER_FILE`` names; or a credential of systemd, which
``{ credential = "..." }`` names, or which is called ``workerd.broker``.

Errors: ConfigError; PermissionDeniedError for a file that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from workerd.config.periodic import SCHEDULE
from workerd.config.places import PYPROJECT
from workerd.config.pools import PREFIX
from workerd.errors import ConfigError, PermissionDeniedError

ENVIRONMENT = "the environment (WORKERD_*)"

# WORKERD_ variables that are not settings: they place the roots before any setting is known.
_NOT_SETTINGS = {"WORKERD_STATE_DIR", "WORKERD_RUNTIME_DIR", "WORKERD_CONFIG", "WORKERD_KEPT_LOCKS"}
_IN_FILE = "_FILE"
_CREDENTIAL = "workerd."
_TOOL = "tool.workerd."


class Layer(msgspec.Struct, frozen=True):
    """``source`` is how an operator would name the place; ``lines`` are those of a file, by key."""

    source: str
    values: Mapping[str, Any]
    lines: Mapping[str, int] = msgspec.field(default_factory=dict)

    def place(self, key: str) -> str:
        """Where ``key`` stands: the source, and the line if it has lines."""
        return f"{self.source}:{self.lines[key]}" if key in self.lines else self.source


def variable(key: str) -> str:
    """The variable that sets ``key``."""
    return "WORKERD_" + key.replace(".", "__").upper()


def from_environ(environ: Mapping[str, str], keys: Collection[str]) -> Iterator[Layer]:
    """The variables, and the files that some of them name for one of ``keys``."""
    values, named = {}, []
    for name, text in environ.items():
        if not name.startswith("WORKERD_") or name in _NOT_SETTINGS:
            continue
        key = _key(name)
        if key not in keys and (wanted := _key(name.removesuffix(_IN_FILE))) in keys:
            if variable(wanted) in environ:
                raise ConfigError(f"{variable(wanted)} and {name} are both set", "take one of them away")
            named.append(Layer(f"{text} ({name})", {wanted: _secret(Path(text))}))
        else:
            values[key] = text
    yield Layer(ENVIRONMENT, values)
    yield from named


def from_credentials(environ: Mapping[str, str]) -> Iterator[Layer]:
    """Credentials of the service whose names say which setting they are: ``workerd.broker``."""
    if not (directory := environ.get("CREDENTIALS_DIRECTORY")):
        return
    try:
        files = sorted(file for file in Path(directory).iterdir() if file.name.startswith(_CREDENTIAL))
    except FileNotFoundError:
        return
    except OSError as exc:
        raise PermissionDeniedError(
            f"cannot read the credentials in {directory}: {exc.strerror}", "run as the service's user"
        ) from exc
    for file in files:
        yield Layer(f"the credential {file.name}", {file.name.removeprefix(_CREDENTIAL): _secret(file)})


def from_file(file: Path, environ: Mapping[str, str]) -> Layer:
    """What the file says; of a ``pyproject.toml`` only ``[tool.workerd]``."""
    import tomllib  # noqa: PLC0415 (3 ms, which a start without a file does without)

    text = _read(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{file} is not TOML: {exc}", "mend the file") from exc
    table = ""
    if file.name == PYPROJECT:
        data, table = data.get("tool", {}).get("workerd", {}), _TOOL
    lines = {key.removeprefix(table): line for key, line in _lines(text) if key.startswith(table)}
    values = dict(_without_secrets(dict(_flatten(data)), file, environ))
    return Layer(str(file), values, {key: line for key in values if (line := _line(key, lines))})


def _key(name: str) -> str:
    return name.removeprefix("WORKERD_").lower().replace("__", ".")


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if f"{prefix}{key}" == SCHEDULE:  # one value: the names in it are nobody's but the author's
            yield SCHEDULE, value
        elif isinstance(value, Mapping) and (value or prefix != PREFIX):  # an empty pool is a mistake to tell
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _without_secrets(
    flat: Mapping[str, Any], file: Path, environ: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for key, value in flat.items():
        setting, _, kind = key.rpartition(".")
        if kind == "file" and setting:
            yield setting, _secret(file.parent / str(value))
        elif kind == "credential" and setting:
            directory = environ.get("CREDENTIALS_DIRECTORY")
            if directory is None:
                raise ConfigError(
                    f"setting {setting!r} from {file} is a credential, and the service has none",
                    f"give it one: LoadCredential={value}:PATH",
                )
            yield setting, _secret(Path(directory) / str(value))
        else:
            yield key, value


def _secret(file: Path) -> str:
    return _read(file).strip()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except PermissionError as exc:
        raise PermissionDeniedError(
            f"cannot read {file}: {exc.strerror}", "check its owner and mode, and those of its directory"
        ) from exc
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}", "name an existing file") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is not text: {exc}", "mend the file") from exc


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Where keys and tables begin: enough to point at, tomllib tells nothing of it."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = _plain(header[1]) + "."
            yield table.removesuffix("."), number
        elif pair := re.match(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*'|\s)+?)\s*=""", line):
            yield table + _plain(pair[1]), number


def _plain(key: str) -> str:
    return re.sub(r"""["'\s]""", "", key)


def _line(key: str, lines: Mapping[str, int]) -> int | None:
    """Of the key itself, else of the inline table that it stands in."""
    while key not in lines:
        key, dot, _ = key.rpartition(".")
        if not dot:
            return None
    return lines[key]
