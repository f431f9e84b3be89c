"""Files that come with workerd and are no code: units of systemd."""

from __future__ import annotations

import sys
from pathlib import Path

from workerd.errors import ConfigError

_PLACES = (
    # The source tree, where it is one: an editable installation has copies, of the day when it was made.
    Path(__file__).resolve().parents[2],
    Path(sys.prefix) / "share" / "workerd",  # where a wheel puts them
)


def shipped(name: str) -> str:
    """The text of a file such as ``systemd/workerd@.service``.  Errors: ConfigError where it is missing."""
    for place in _PLACES:
        if (file := place / name).is_file():
            return file.read_text(encoding="utf-8")
    looked = " and ".join(str(place) for place in _PLACES)
    raise ConfigError(f"{name} is neither in {looked}", "install workerd anew")
