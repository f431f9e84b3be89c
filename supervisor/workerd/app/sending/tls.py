"""TLS to a broker is checked unless somebody says that it shall not be.  Pure.

kombu leaves a ``rediss://`` URL without options unchecked, does not look at the host name on ``amqps://``,
and gives py-amqp options of an URL by names that it does not know.

``ssl_cert_reqs`` (``none`` switches the check off), ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile`` and
``ssl_check_hostname`` in an URL mean the same for both kinds of broker.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

AMQP = ("amqp", "pyamqp", "amqps")


class Checked(dict[str, Any]):
    """py-amqp's options, made here: the server's name in them is that of the host of the moment."""


def checked_tls(transport: str | None, host: str | None, given: Any) -> Any:
    """kombu's ``ssl`` for a connection to ``host``; ``given`` is what URL and settings say of it."""
    kind = transport or "amqp"
    if not given and kind not in ("rediss", "amqps"):
        return given
    options = dict(given) if isinstance(given, Mapping) else {}
    if kind in ("redis", "rediss"):
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **options}
    if kind not in AMQP:
        return given
    if not isinstance(given, Checked) and ("cert_reqs" in options or "context" in options):
        return options  # the app's own words to py-amqp
    return _for_amqp(host, options, ours=isinstance(given, Checked))


def _for_amqp(host: str | None, options: dict[str, Any], *, ours: bool) -> Checked:
    found = Checked({name.removeprefix("ssl_"): value for name, value in options.items()})
    if ours:
        if "server_hostname" in found:
            found["server_hostname"] = host
        return found
    looks = found.pop("check_hostname", True)
    if found.setdefault("cert_reqs", ssl.CERT_REQUIRED) != ssl.CERT_NONE and looks:
        found.setdefault("server_hostname", host)
    return found
