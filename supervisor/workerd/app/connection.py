"""kombu's connection, which also finds its way back to a broker behind an URL such as ``redis+socket://``.

It does not trust a certificate that nobody vouches for (see ``tls``).

kombu understands ``transport+rest`` when it makes a connection, but not when it switches to another URL
after a failure; there it looks for a transport of the whole name.
"""

from __future__ import annotations

from typing import Any

from kombu.connection import Connection, ConnectionPool

from workerd.app.tls import checked_tls


class BrokerConnection(Connection):
    """A connection whose alternates may have every spelling that its first URL may have."""

    _closed: bool
    uri_prefix: str | None
    _initial_params: dict[str, Any]

    def _init_params(self, **params: Any) -> None:  # type: ignore[override]
        """kombu's own, of every URL that it is or becomes."""
        params["ssl"] = checked_tls(params["transport"], params["hostname"], params["ssl"])
        super()._init_params(**params)  # type: ignore[no-untyped-call]

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


class BrokerPool(ConnectionPool):
    """A pool of these; kombu's own makes connections of its own class."""

    connection: BrokerConnection

    def new(self) -> BrokerConnection:
        """One more connection, not connected yet."""
        another: BrokerConnection = self.connection.clone()  # type: ignore[no-untyped-call]
        return another
