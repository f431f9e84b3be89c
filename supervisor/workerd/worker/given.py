"""What a daemon was given at its start beside its settings, and hands on to its children."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

logger = logging.getLogger(__name__)

OWN = frozenset({"broker_url", "broker_read_url", "broker_write_url", "result_backend"})
"""Settings of the app that the daemon itself replaces, and tells its children in its own way."""


class Given(msgspec.Struct, frozen=True):
    """The app's own command-line options, and the settings of the app as it was imported."""

    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Values by name: keywords of every step."""
    words: tuple[str, ...] = ()
    """As typed: a template imports the app anew, so it reads the preload options anew."""
    settings: Mapping[str, Any] | None = None
    """None where nothing can have changed them."""

    def changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those of ``settings`` that a receiver has changed since the import, as far as they are plain.

        In a fork of the daemon they would be there; a template is none.
        """
        if self.settings is None:
            return {}
        found = {}
        for name, value in settings.items():
            if name in OWN or (name in self.settings and self.settings[name] == value):
                continue
            try:
                msgspec.msgpack.encode(value)
            except (TypeError, ValueError, OverflowError):
                logger.warning(
                    "app.conf.%s was changed to %.100r: children do not see that, it is no plain value",
                    name,
                    value,
                )
            else:
                found[name] = value
        return found
