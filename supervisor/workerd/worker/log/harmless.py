"""What strangers bring into a line of the log: names and ids of messages, texts of results and exceptions.

It may hold line breaks, and sequences that steer the terminal of whoever reads it.  Tracebacks have lines
too, so line breaks stay; but no line within a record begins as a record does.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def harmless(text: str) -> str:
    """``text`` with control characters as escapes, and a bar before what would pass for a record of ours."""
    if text.isprintable():
        return text
    return _CONTROL.sub(_escape, text).replace("\n[", "\n|[").replace("\n<", "\n|<")


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
