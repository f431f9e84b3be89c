"""Tell a URL that cannot work before anything is tried with it.

Errors: ConfigError, in one line, without the URL's password.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workerd.errors import ConfigError
from workerd.masking import masked
from workerd.transport.address import SCHEMES as REDIS
from workerd.transport.address import address_of_url

if TYPE_CHECKING:
    from workerd.config import Config

AMQP = ("amqp", "amqps", "pyamqp")
EMBEDDED = "embedded"
NO_BACKEND = ("", "disabled")
BACKENDS = ("rpc", "file")
"""Backends that have no server of their own."""
BACKEND_GROUP = "workerd.backends"
"""The entry points in which installed packages name their backends; each is called as its URLs' scheme."""


def check_urls(config: Config, source: Callable[[str], str]) -> None:
    """Check the broker and backend of ``config``; ``source`` tells where a setting comes from."""
    checks = [("broker", checked_broker, url) for url in config.broker]
    for key, check, url in (*checks, ("backend", checked_backend, config.backend)):
        try:
            check(url)
        except ConfigError as exc:
            raise ConfigError(f"{exc.what} (from {source(key)})", exc.hint) from None


def checked_broker(url: str) -> str:
    """``url`` if it names a broker that is served; several may stand in it, with ``;`` between them."""
    for one in url.split(";"):
        _check(one, "broker", (*REDIS, *AMQP))
    return url


def checked_backend(url: str) -> str:
    """``url`` if it names a result backend that is served, or none."""
    scheme = url.partition("://")[0].rstrip("/:")
    if scheme not in (*NO_BACKEND, *BACKENDS) and not _has_plugin(scheme):
        _check(url, "result backend", REDIS)
    return url


def _has_plugin(scheme: str) -> bool:
    """An installed package has a backend for it."""
    if not scheme or scheme in (EMBEDDED, *REDIS):
        return False
    from importlib.metadata import entry_points  # noqa: PLC0415 (only for what is not our own)

    return bool(entry_points(group=BACKEND_GROUP, name=scheme))


def _check(url: str, what: str, schemes: tuple[str, ...]) -> None:
    if url.rstrip("/:") == EMBEDDED:
        return
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in schemes:
        names = "redis, rediss, redis+socket" + (", amqp or amqps" if "amqp" in schemes else ", rpc or file")
        raise ConfigError(
            f"{what} {masked(url)!r} is of no kind that is served",
            f"write {EMBEDDED!r}, or a URL of {names} such as redis://localhost:6379/0",
        )
    if scheme in REDIS:
        address_of_url(url)
        return
    try:
        _ = urlsplit(url).port
    except ValueError as exc:
        raise ConfigError(f"{what} {masked(url)} cannot be read: {exc}", "write amqp://host:5672//") from None
