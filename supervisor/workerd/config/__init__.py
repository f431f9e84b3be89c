"""Settings: one frozen ``Config``, read once at start from every place they may stand.

Names load on first use, because an app needs the model alone, and reads no file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.config.load import Layers, load_layers
    from workerd.config.model import Config, Drain, PoolConfig, default_size
    from workerd.config.places import config_file, config_names, config_root

__all__ = [
    "Config",
    "Drain",
    "Layers",
    "PoolConfig",
    "config_file",
    "config_names",
    "config_root",
    "default_size",
    "load_layers",
]

_HOMES = {
    "Config": "model",
    "Drain": "model",
    "Layers": "load",
    "PoolConfig": "model",
    "config_file": "places",
    "config_names": "places",
    "config_root": "places",
    "default_size": "model",
    "load_layers": "load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"workerd.config.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'workerd.config' has no attribute {name!r}")
