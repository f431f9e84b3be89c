"""Backends of installed packages, by the scheme of their URLs.

A package names the class in the entry points of the group ``workerd.backends``; the name is the scheme.

Errors:  ConfigError for one that cannot be imported, or is no backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.errors import ConfigError
from workerd.transport.urls import BACKEND_GROUP

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from workerd.backends.base import BackendOptions
    from workerd.backends.keyvalue import KeyValueBackend


def entries() -> list[EntryPoint]:
    """Those of all installed packages."""
    from importlib.metadata import entry_points  # noqa: PLC0415 (a tenth of what a small client loads)

    return sorted(entry_points(group=BACKEND_GROUP), key=lambda entry: (entry.name, entry.value))


def backend_class(scheme: str) -> type[KeyValueBackend] | None:
    """The class for URLs of ``scheme``, from the first package that has one; None when none has."""
    found = next((entry for entry in entries() if entry.name == scheme), None)
    return None if found is None else class_of(found)


def class_of(entry: EntryPoint) -> type[KeyValueBackend]:
    """The class that ``entry`` names."""
    from workerd.backends.keyvalue import KeyValueBackend  # noqa: PLC0415 (only who uses one pays for it)

    where = f"result backend {entry.name}:// ({entry.value})"
    try:
        found: Any = entry.load()
    except Exception as exc:  # what a package's own code raises when it is imported
        raise ConfigError(f"{where} cannot be imported: {exc}", "mend or remove its package") from exc
    if not (isinstance(found, type) and issubclass(found, KeyValueBackend)):
        raise ConfigError(f"{where} is no subclass of workerd.backends.KeyValueBackend", "mend its package")
    return found


def open_plugin(url: str, options: BackendOptions) -> KeyValueBackend | None:
    """The backend that an installed package has for ``url``."""
    kind = backend_class(url.partition("://")[0])
    return None if kind is None else kind(url, options)
