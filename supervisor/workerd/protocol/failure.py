"""Exceptions as results hold them: ``{exc_type, exc_message, exc_module}``.

A class is looked up among the modules that are imported already and never imported for a result; only
subclasses of Exception are made.  What cannot be found becomes an instance of a made class of that name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from workerd.protocol.exceptions import ON_THE_WIRE, WIRE_MODULE, RemoteError
from workerd.protocol.lenient import printable

WRAPPER = ("celery.utils.serialization", "UnpickleableExceptionWrapper")
"""In which a Celery worker sends an exception whose class cannot be imported, or not be made anew."""


def encode_exception(exc: BaseException, encodable: Callable[[Any], bool]) -> dict[str, Any]:
    """The mapping for ``exc``; arguments that are not ``encodable`` become their repr."""
    cls = type(exc)
    module = WIRE_MODULE if ON_THE_WIRE.get(cls.__name__) is cls else cls.__module__
    message = [item if encodable(item) else safe_repr(item) for item in _arguments(exc)]
    return {"exc_type": cls.__qualname__, "exc_message": message, "exc_module": module}


def decode_exception(data: Any) -> Exception:
    """The exception that ``data`` from a result describes."""
    if isinstance(data, Exception):
        return data
    if not isinstance(data, Mapping) or not isinstance(data.get("exc_type"), str):
        return RemoteError(data)
    message = data.get("exc_message")
    args = tuple(message) if isinstance(message, (list, tuple)) else (message,)
    module = data.get("exc_module")
    if (module, data["exc_type"]) == WRAPPER and (wrapped := _unwrapped(args)) is not None:
        return decode_exception(wrapped)
    cls = _find(module, data["exc_type"])
    if cls is not None:
        try:
            return cls(*args)
        except Exception:  # noqa: BLE001 (its constructor takes other arguments)
            return _unconstructed(cls, args) or made_class(module, data["exc_type"])(*args)
    return made_class(module, data["exc_type"])(*args)


def _unwrapped(args: tuple[Any, ...]) -> dict[str, Any] | None:
    """What the wrapper holds: module, name, arguments, and their text."""
    if len(args) != 4 or not isinstance(args[1], str):
        return None
    return {"exc_module": args[0], "exc_type": args[1], "exc_message": args[2]}


def _unconstructed(cls: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    """An instance of ``cls`` whose constructor has not run, as ``except cls`` wants it."""
    try:
        exc = cls.__new__(cls)
        exc.args = args
        str(exc), repr(exc)
    except Exception:  # noqa: BLE001 (its class needs more than arguments)
        return None
    return exc


def made_class(module: Any, name: str) -> type[RemoteError]:
    """A class for an exception that is not known here, with the name it has elsewhere."""
    home = module if isinstance(module, str) else RemoteError.__module__
    name = printable(name.replace("\0", "")) or RemoteError.__name__
    return type(name.rpartition(".")[2] or name, (RemoteError,), {"__module__": home, "__qualname__": name})


def safe_repr(value: Any) -> str:
    """``repr(value)``, or a stand-in when that itself fails."""
    try:
        return repr(value)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 (a task's own class may raise anything here)
        return f"<{type(value).__name__} whose repr raises {type(exc).__name__}>"


def _arguments(exc: BaseException) -> tuple[Any, ...]:
    args = getattr(exc, "args", ())
    return args if isinstance(args, tuple) else (args,)


def _find(module: Any, name: str) -> type[Exception] | None:
    if module in (WIRE_MODULE, RemoteError.__module__) and name in ON_THE_WIRE:
        return ON_THE_WIRE[name]
    found: Any = sys.modules.get(module) if isinstance(module, str) else None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None
