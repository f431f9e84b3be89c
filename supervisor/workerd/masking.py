"""URLs and settings as people may see them, in logs, in errors, in ``status``: without what is secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Where the next URL of a list begins; a password may hold the separators themselves.
_NEXT = re.compile(r"([;,]\s*)(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_SECRET = re.compile(r"((?:^|[?&;])[^=&;]*(?:password|secret|token)[^=&;]*=)[^&;]*", re.IGNORECASE)

_SECRET_NAME = re.compile(
    r"api|token|(?<!routing_)(?<!binding_)key(?!_?prefix)|secret|pass|signature|database", re.IGNORECASE
)
MASK = "********"


def masked_setting(name: str, value: Any) -> Any:
    """The value of the setting ``name`` in plain values, without what is secret in it, however deep."""
    if value and _SECRET_NAME.search(name):
        return MASK
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return masked(value) if "://" in value else value
        case Mapping():
            return {str(key): masked_setting(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [masked_setting(name, item) for item in value]
        case _:
            return repr(value)


def masked(urls: str) -> str:
    """``urls``, one or several with ``;`` or ``,``, without passwords and other secrets; never raises.

    What could be part of a password is masked with it: all up to the last ``@`` of an URL.
    """
    return "".join(part if place % 2 else _masked_one(part) for place, part in enumerate(_NEXT.split(urls)))


def _masked_one(url: str) -> str:
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    return _SECRET.sub(r"\1**", f"{scheme}{mark}{name}{colon and ':**'}{at}{place}")
