"""Properties that are the same, byte for byte, as some that came before, except for certain texts.

The lengths of those texts differ, and so does that of the table in which they are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from workerd.source.amqp.header_frames import FIXED
from workerd.source.amqp.layout import LONG, Text


class Pattern:
    """Of ``content``, with its table of headers at ``table``: ``headers`` are the texts in there that may
    differ, ``properties`` those behind it."""

    def __init__(
        self, content: bytes, table: int, headers: Sequence[Text], properties: Sequence[Text]
    ) -> None:
        self._head, self._table, self._headers = content[FIXED:table], table, len(headers)
        self._between: list[tuple[bytes, int, struct.Struct]] = []
        at = table + LONG.size
        for text in (*headers, *properties):
            between = content[at : text.start - text.length.size]
            self._between.append((between, len(between), text.length))
            at = text.end
        self._tail = content[at:]
        # What is neither in the table nor in a text behind it.
        (size,) = LONG.unpack_from(content, table)
        self._rest = len(content) - size - sum(text.end - text.start for text in properties)

    def texts(self, content: bytes) -> list[bytes] | None:
        """Those of ``content``, if all else is the same.  Errors: struct.error where it ends too soon."""
        if not content.startswith(self._head, FIXED):
            return None
        found, at = [], self._table + LONG.size
        for between, size, length in self._between:
            if not content.startswith(between, at):
                return None
            at += size
            start = at + length.size
            at = start + length.unpack_from(content, at)[0]
            found.append(content[start:at])
        (size,) = LONG.unpack_from(content, self._table)
        properties = sum(map(len, found[self._headers :]))
        ends = content[at:] == self._tail and self._rest + size + properties == len(content)
        return found if ends else None
