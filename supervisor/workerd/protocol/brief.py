"""Short reprs of arguments, for ``argsrepr`` and ``kwargsrepr``.

Shorter than ``repr`` in three ways: containers below ``levels`` are shown as ``[...]``, texts are cut at
what is left of ``limit``, and so is a container; closing brackets do not count.

Units:   characters.
Errors:  none; an object whose repr raises is shown by its class.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from numbers import Number
from typing import Any

from workerd.protocol.failure import safe_repr
from workerd.protocol.lenient import printable

_PLAIN = frozenset({str, int, float, bool, type(None)})


def brief(value: Any, limit: int = 1024, levels: int = 3) -> str:
    """A repr of ``value`` of about ``limit`` characters at most."""
    if value is None:
        return "None"
    if type(value) is int and -1_000_000 < value < 1_000_000 and limit > 7:
        return str(value)
    if value == {} and type(value) is dict:
        return "{}"
    if levels and (simple := _simple(value, limit)):
        return simple
    writer = _Writer(limit, levels)
    writer.show(value, 0)
    return printable("".join(writer.parts))


def cut(text: str, limit: int) -> str:
    """``text`` with at most ``limit`` characters, the last three of them dots when it was longer."""
    text = printable(text)
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."


def _simple(value: Any, limit: int) -> str:
    """The same for a tuple of few short texts and numbers, which most arguments are; empty for all else."""
    if type(value) is not tuple or not _PLAIN.issuperset(map(type, value)):
        return ""
    if any(len(item) > limit for item in value if type(item) is str):
        return ""
    shown = ", ".join(
        ["'{}'".format(one.replace("'", "\\'")) if type(one) is str else str(one) for one in value]
    )
    return printable(f"({shown},)" if len(value) == 1 else f"({shown})") if len(shown) < limit else ""


class _Writer:
    def __init__(self, limit: int, levels: int) -> None:
        self.parts: list[str] = []
        self.room = limit
        self.levels = levels
        self._open: set[int] = set()

    def show(self, value: Any, depth: int) -> None:
        if type(value) is int:  # the rule below says the same, and takes as long as all the rest
            self._write(self._shortened(str(value)))
        elif isinstance(value, str):
            self._write("'{}'".format(self._shortened(value).replace("'", "\\'")))
        elif isinstance(value, bytes):
            self._write(f"b'{self._shortened(_text(value[: self.room + 1]))}'")
        elif isinstance(value, Number) and not isinstance(value, Decimal):
            self._write(self._shortened(str(value)))
        elif isinstance(value, (tuple, list, dict)) or (isinstance(value, (set, frozenset)) and value):
            self._container(value, depth)
        else:
            self._write(self._shortened(safe_repr(value)))

    def _container(self, value: Any, depth: int) -> None:
        start, end = _brackets(value)
        if depth >= self.levels or id(value) in self._open:
            self._write(f"{start}...{end}")
            return
        self._open.add(id(value))
        self._write(start)
        items: Iterable[Any] = value.items() if isinstance(value, dict) else value
        for position, item in enumerate(items):
            if self.room <= 0:
                self.parts.append(", ..." if position else "...")
                break
            if position:
                self._write(", ")
            self._item(value, item, depth + 1)
        self.parts.append(end)
        self._open.discard(id(value))

    def _item(self, container: Any, item: Any, depth: int) -> None:
        if isinstance(container, dict):
            self.show(item[0], depth)
            self._write(": ")
            item = item[1]
        self.show(item, depth)

    def _shortened(self, text: str) -> str:
        room = max(self.room, 0)
        if len(text) <= room:
            return text
        # At the last space, as Celery cuts; the dots come on top.
        return text[:room].rpartition(" ")[0 if " " in text[:room] else 2] + "..."

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self.room -= len(text)


def _brackets(value: Any) -> tuple[str, str]:
    match value:
        case tuple():
            return "(", ",)" if len(value) == 1 else ")"
        case list():
            return "[", "]"
        case dict():
            return "{", "}"
        case _ if type(value) is set:
            return "{", "}"
        case _:
            return f"{type(value).__name__}({{", "})"


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
