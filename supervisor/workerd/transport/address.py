"""Where a Redis server is and how to open a connection to it, from any of the spellings in use.

``redis://[user[:password]@]host[:port][/db]``, ``rediss://`` with ``ssl_*`` options,
``redis+socket:///path`` and ``unix:///path`` with ``?virtual_host=db`` or ``?db=db``.

Errors: ConfigError for a URL that names no Redis server.
Source: the forms and options are those that kombu and redis-py accept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from kombu.utils.url import parse_url, url_to_parts

from workerd.errors import ConfigError
from workerd.masking import masked

if TYPE_CHECKING:
    from kombu.connection import Connection

SOCKETS = ("unix", "socket", "redis+socket")
SCHEMES = ("redis", "rediss", *SOCKETS)


class RedisAddress(msgspec.Struct, frozen=True):
    """One server; ``tls`` holds redis-py's ``ssl_*`` options, or is None for a plain connection."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown})"

    @property
    def shown(self) -> str:
        """The URL for logs and ``status``: the password is masked."""
        user = f"{self.username or ''}{':**' if self.password else ''}"
        at = f"{user}@" if user else ""
        if self.path:
            return f"redis+socket://{at}{self.path}" + (f"?virtual_host={self.db}" if self.db else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'redis' if self.tls is None else 'rediss'}://{at}{host}:{self.port}/{self.db}"

    @property
    def name(self) -> Any:
        """The host as ``getaddrinfo`` takes it."""
        # Of a text Python asks whether it is an international name, and loads 400 kB of tables for that.
        return self.host.encode() if self.host.isascii() else self.host

    def connection(self, timeout: float, protocol: int) -> Any:
        """An unopened connection of redis-py; ``timeout``, in seconds, bounds each of its calls."""
        # A tenth of a second and 19 MB, which the links of a daemon do without.
        import redis  # noqa: PLC0415

        options: dict[str, Any] = {
            "db": self.db,
            "username": self.username,
            "password": self.password,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "protocol": protocol,
            "client_name": "workerd",
        }
        kind: Any = redis.Connection
        if self.path:
            kind = redis.UnixDomainSocketConnection
            options["path"] = self.path
        else:
            options.update(host=self.host, port=self.port, socket_keepalive=True)
        if self.tls is not None:
            kind = redis.SSLConnection
            options.update(self.tls)
        return kind(**options)


def address_of_url(url: str) -> RedisAddress:
    """The server that ``url`` names."""
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise ConfigError(f"{masked(url)} is not the URL of a Redis server", "write redis://host:6379/0")
    try:
        if scheme in SOCKETS:
            return _socket_address(url)
        parts = parse_url(url)
        tls = parts.get("ssl") or ({} if scheme == "rediss" else None)
        return RedisAddress(
            host=parts["hostname"] or "127.0.0.1",
            port=parts["port"] or 6379,
            db=_database(parts.get("db") or parts["virtual_host"]),
            username=parts["userid"],
            password=parts["password"],
            tls=tls,
        )
    except (ValueError, KeyError, TypeError):
        # What the parsers say may hold a part of the password.
        raise ConfigError(
            f"{masked(url)} is no usable URL", "write redis://user:password@host:6379/0, %-quoted"
        ) from None


def address_of_connection(connection: Connection) -> RedisAddress:
    """The server that a kombu connection is set to now (after a fail-over: the alternate)."""
    if connection.transport_cls == "sentinel":
        raise ConfigError("task queues behind Redis Sentinel are not supported", "name the master's URL")
    host = connection.hostname or "127.0.0.1"
    if "://" in host:
        return _socket_address(host)
    password = connection.password() if callable(connection.password) else connection.password
    return RedisAddress(
        host=host,
        port=connection.port or 6379,
        db=_database(connection.virtual_host),
        username=connection.userid or None,
        password=password or None,
        tls=_tls_options(connection.ssl),
    )


def _socket_address(url: str) -> RedisAddress:
    parts = url_to_parts(url)
    query = parts.query
    return RedisAddress(
        path=f"/{parts.path or ''}",
        db=_database(query.get("virtual_host") or query.get("db")),
        username=parts.username or query.get("username"),
        password=parts.password or query.get("password"),
    )


def _database(name: str | int | None) -> int:
    if name in (None, "", "/"):
        return 0
    return int(str(name).strip("/"))


def _tls_options(ssl: Any) -> Mapping[str, Any] | None:
    if isinstance(ssl, Mapping):
        return dict(ssl)
    return {} if ssl else None
