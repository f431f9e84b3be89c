"""What the daemon tells the program of its beat: the first line of its stdin, in JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from workerd.config.model import Beat, Log


class Argument(msgspec.Struct, kw_only=True):
    """As a template of the pool is told."""

    app: str
    name: str
    hostname: str
    broker: tuple[str, ...]
    backend: str
    loglevel: str
    log: Log
    words: tuple[str, ...]
    settings: dict[str, Any]
    path: tuple[str, ...]
    """For imports."""
    beat: Beat
