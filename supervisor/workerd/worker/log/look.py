"""How the log looks: for whom it is written, as the settings and what is at its other end say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workerd.worker.log.text import TextFormatter

if TYPE_CHECKING:
    from workerd.config.model import LogFormat
    from workerd.worker.log.json_lines import JsonLines


def look(form: LogFormat, fd: int, environ: Mapping[str, str]) -> TextFormatter | JsonLines:
    """The formatter for what is written to ``fd``.

    ``auto`` is text with what its reader can use: colours on a terminal, priorities in the journal.
    ``text`` has neither.
    """
    prefixed = form != "text" and is_journal(fd, environ)
    if form == "json":
        # Thirty modules, for those who want them.
        from workerd.worker.log.json_lines import JsonLines  # noqa: PLC0415

        return JsonLines(prefixed=prefixed)
    coloured = form == "auto" and not prefixed and wants_colours(fd, environ)
    return TextFormatter(coloured=coloured, prefixed=prefixed)


def wants_colours(fd: int, environ: Mapping[str, str]) -> bool:
    """Source: no-color.org and force-color.org; where somebody sets both, the quieter one counts."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return environ.get("TERM") != "dumb" and os.isatty(fd)


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """systemd says which stream is the journal's; a program that is started from a service inherits that.

    Source: systemd.exec(5), JOURNAL_STREAM.
    """
    told = environ.get("JOURNAL_STREAM")
    if not told:
        return False
    found = os.fstat(fd)
    return told == f"{found.st_dev}:{found.st_ino}"
