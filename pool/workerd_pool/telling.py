"""What a child tells of exceptions: words that a frame can carry, whatever the exceptions' own code does."""

from __future__ import annotations

import traceback
from typing import Any


def text_of(exc: BaseException) -> str:
    """Its str, or the repr where that raises."""
    try:
        return _printable(str(exc))
    except BaseException:  # noqa: BLE001 - it is the task's code that runs here
        return words_of(exc)


def words_of(exc: object) -> str:
    """Its repr, or its class when that raises."""
    try:
        return _printable(repr(exc))
    except BaseException as broken:  # noqa: BLE001 - it is the task's code that runs here
        return f"<{type(exc).__name__} whose repr raises {type(broken).__name__}>"


def traceback_of(exc: BaseException) -> str:
    """Its traceback, or one line when that cannot be made."""
    try:
        return _printable("".join(traceback.format_exception(exc)))
    except BaseException as broken:  # noqa: BLE001 - it is the task's code that runs here
        return f"{type(exc).__name__}, whose traceback cannot be shown: {type(broken).__name__}\n"


def internal(exc: BaseException) -> dict[str, Any]:
    """The outcome of a job whose Runner raised."""
    return {"state": "INTERNAL", "error": words_of(exc), "traceback": traceback_of(exc)}


def _printable(text: str) -> str:
    # Halves of surrogate pairs are no UTF-8, and so nothing that msgpack takes.
    return text.encode("utf-8", "backslashreplace").decode()
