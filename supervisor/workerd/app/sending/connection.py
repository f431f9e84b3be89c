"""kombu's connection, which also finds its way back to a broker behind an URL such as ``redis+socket://``.

It does not trust a certificate that nobody vouches for (see ``tls``).

kombu understands ``transport+rest`` when it makes a connection, but not when it switches to another URL
after a failure; there it looks for a transport of the whole name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kombu.connection import Connection
from kombu.utils.url import parse_url

from workerd.app.sending.tls import checked_tls

_PARAMETERS = frozenset(inspect.signature(Connection).parameters)


def spelled_out(url: str) -> dict[str, Any]:
    """The arguments for a connection to ``url``: of Redis its parts, as kombu would take them from it.

    Given such a URL, kombu loads its transport, and redis-py with it, to ask whether that reads URLs itself.
    """
    if url.startswith(("redis://", "rediss://")) and ";" not in url:
        parts = {name: value for name, value in parse_url(url).items() if value is not None}
        if parts.keys() <= _PARAMETERS:
            return {"hostname": None, **parts}
    return {"hostname": url}


class BrokerConnection(Connection):
    """A connection whose alternates may have every spelling that its first URL may have."""

    adapt: Callable[[type[Any]], type[Any]] | None = None
    """Makes another transport of the one that kombu would take; set before the first use."""
    _closed: bool
    uri_prefix: str | None
    _initial_params: dict[str, Any]

    def _init_params(self, **params: Any) -> None:  # type: ignore[override]
        """kombu's own, of every URL that it is or becomes."""
        params["ssl"] = checked_tls(params["transport"], params["hostname"], params["ssl"])
        super()._init_params(**params)  # type: ignore[no-untyped-call]

    def get_transport_cls(self) -> type[Any]:
        """kombu's own, adapted."""
        found: type[Any] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return found if self.adapt is None else self.adapt(found)

    def switch(self, conn_str: str) -> None:
        """Take the parameters of another URL; does not connect."""
        self.uri_prefix = None
        if "+" not in conn_str.partition("://")[0]:
            super().switch(conn_str)  # type: ignore[no-untyped-call]
            return
        self.close()  # type: ignore[no-untyped-call]
        self.declared_entities.clear()
        self._closed = False
        transport, hostname = conn_str.split("+", 1)
        self._init_params(**{**self._initial_params, "transport": transport, "hostname": hostname})
        self.uri_prefix = transport
