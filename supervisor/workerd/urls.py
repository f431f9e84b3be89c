"""URLs of servers as people may see them: in logs, in errors, in ``status``."""

from __future__ import annotations

import re

# Where the next URL of a list begins; a password may hold the separators themselves.
_NEXT = re.compile(r"([;,]\s*)(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_SECRET = re.compile(r"((?:^|[?&;])[^=&;]*(?:password|secret|token)[^=&;]*=)[^&;]*", re.IGNORECASE)


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
