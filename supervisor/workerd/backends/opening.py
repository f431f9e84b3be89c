"""Choose a backend by its URL.

Errors:  ConfigError for a scheme that is not served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.backends.base import Backend, BackendOptions
from workerd.backends.disabled import DisabledBackend
from workerd.backends.plugins import entries, open_plugin
from workerd.backends.url import EMBEDDED, shown
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.backends.keyvalue import KeyValueBackend

REDIS = ("redis", "rediss", "redis+socket", "socket", "unix")
RPC = "rpc"


def open_backend(url: str | None, options: BackendOptions | None = None) -> Backend:
    """The backend at ``url``; none, or ``disabled``, is one that keeps nothing.  Does not connect yet."""
    options = options or BackendOptions()
    if not url or url.rstrip("/:") == "disabled":
        return DisabledBackend(options)
    scheme = scheme_of(url)
    if scheme in (*REDIS, EMBEDDED):
        # Only who uses it pays for the import of redis.
        from workerd.backends.redis import RedisBackend  # noqa: PLC0415

        return RedisBackend(url, options)
    return open_keyvalue(url, options)


def open_keyvalue(url: str, options: BackendOptions) -> KeyValueBackend:
    """The backend of bytes under keys at ``url``: files, or what an installed package has."""
    if url.startswith("file:"):
        from workerd.backends.file import FileBackend  # noqa: PLC0415 (only who uses it pays for it)

        return FileBackend(url, options)
    if (found := open_plugin(url, options)) is not None:
        return found
    served = ["embedded", "disabled", "rpc", "file", *REDIS, *(entry.name for entry in entries())]
    raise ConfigError(f"result backend {shown(url)} is not served", f"use one of {', '.join(served)}")


def scheme_of(url: str) -> str:
    """What stands before ``://``."""
    return url.partition("://")[0].rstrip("/:")
