"""A redis-py client for a backend's URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis as redis_py
from redis.backoff import NoBackoff
from redis.retry import Retry

from workerd.backends.base import BackendOptions
from workerd.backends.redis_patience import Patience, bounded
from workerd.backends.url import resolve, shown
from workerd.errors import ConfigError

# redis-py has types, but they change between its releases more than its behaviour does.
_redis: Any = redis_py


def open_client(url: str, options: BackendOptions, patience: Patience) -> Any:
    """A client that has not connected yet; it tries a broken connection once again, at once."""
    try:
        client = _redis.Redis.from_url(
            client_url(resolve(url)),
            socket_timeout=options.socket_timeout,
            socket_connect_timeout=options.connect_timeout,
            retry=Retry(NoBackoff(), 1),
            **_optional(url, options),
        )
    except (ValueError, TypeError):
        # What the parser says may hold a part of the password.
        raise ConfigError(
            f"result backend {shown(url)} is no usable URL",
            "write redis://user:password@host:6379/0, %-quoted",
        ) from None
    bounded(client.connection_pool, patience)
    return client


def client_url(url: str) -> str:
    """``url`` in redis-py's spelling: kombu's sockets and Celery's names for certificate checks differ."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme in ("redis+socket", "socket", "unix"):
        db = query.pop("virtual_host", query.pop("db", "0")).lstrip("/")
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"unix://{login}{unquote(parts.path)}?{urlencode({'db': db or '0', **query})}"
    checks = query.get("ssl_cert_reqs", "")
    if checks.startswith("CERT_"):
        query["ssl_cert_reqs"] = checks.removeprefix("CERT_").lower()
    return parts._replace(query=urlencode(query)).geturl()


def _optional(url: str, options: BackendOptions) -> dict[str, Any]:
    extra: dict[str, Any] = dict(options.tls)
    if options.max_connections is not None:
        extra["max_connections"] = options.max_connections
    if options.health_check_interval:
        extra["health_check_interval"] = options.health_check_interval
    if options.keepalive and resolve(url).startswith(("redis://", "rediss://")):
        extra["socket_keepalive"] = True
    return extra
