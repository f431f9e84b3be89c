"""Preload options in a template: the supervisor has read them, and this process has imported the app anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workerd.signals import user_preload_options

if TYPE_CHECKING:
    from workerd.app.base import App


def read_preload_options(app: App, words: Sequence[str]) -> None:
    """Read and send them as the command line did.  Errors: UsageError, ConfigError."""
    if not app.user_options["preload"] and not user_preload_options.has_listeners():
        return
    # click is half a megabyte in every child, and few apps have such options.
    from workerd.bin.user_words import UserWords  # noqa: PLC0415

    UserWords("workerd start", words=tuple(words)).preload(app)
