"""Choose a backend by its URL.

Errors:  ConfigError for a scheme that is not served.
"""

from __future__ import annotations

from workerd.backends.base import Backend, BackendOptions
from workerd.backends.disabled import DisabledBackend
from workerd.backends.url import EMBEDDED, shown
from workerd.errors import ConfigError

_REDIS = ("redis", "rediss", "redis+socket", "socket", "unix")


def open_backend(url: str | None, options: BackendOptions | None = None) -> Backend:
    """The backend at ``url``; none, or ``disabled``, is one that keeps nothing.  Does not connect yet."""
    options = options or BackendOptions()
    if not url or url.rstrip("/:") == "disabled":
        return DisabledBackend(options)
    scheme = url.partition("://")[0].rstrip("/:")
    if scheme in (*_REDIS, EMBEDDED):
        # Only who uses it pays for the import of redis.
        from workerd.backends.redis import RedisBackend  # noqa: PLC0415

        return RedisBackend(url, options)
    raise ConfigError(
        f"result backend {shown(url)} is not served", f"use embedded, disabled or one of {', '.join(_REDIS)}"
    )
