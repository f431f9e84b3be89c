"""The app's connections to its broker, and the pool of producers that publish over them.

Units:   seconds.
Errors:  UnavailableError, in one line, when the broker cannot be reached; ConfigError when it refuses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from amqp import exceptions as amqp
from kombu.exceptions import OperationalError
from kombu.pools import ProducerPool

from workerd.app.conf import Conf
from workerd.app.connection import BrokerConnection, BrokerPool
from workerd.backends.url import EMBEDDED, resolve, shown, unreachable
from workerd.errors import ConfigError
from workerd.transport.amqp_refusals import trouble

AMQP_SCHEMES = ("amqp", "amqps", "pyamqp")

_WHAT = "broker"

SILENCE = 5.0
"""Seconds for which a Redis server may be silent.  kombu's own longest wait in one command is a second."""


class Broker:
    """Where an app's messages go."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self._producers: Any = None
        self._opened: tuple[Any, ...] = ()
        self._inherited: list[Any] = []

    def urls(self, purpose: str = "broker_url") -> tuple[str, ...]:
        """The URLs for ``purpose`` (broker_read_url, broker_write_url), as they were set."""
        return self._conf[purpose] or self._conf.broker_url or (EMBEDDED,)

    def connection(
        self, url: str | Sequence[str] | None = None, purpose: str = "broker_url"
    ) -> BrokerConnection:
        """A new connection, not connected yet."""
        given = (url,) if isinstance(url, str) else tuple(url or self.urls(purpose))
        conf = self._conf
        real = [resolve(one) for one in given]
        try:
            return BrokerConnection(  # type: ignore[no-untyped-call]
                # A list, even of one, makes kombu switch to its next entry after each failure.
                real[0] if len(real) == 1 else real,
                connect_timeout=conf.broker_connection_timeout,
                failover_strategy=conf.broker_failover_strategy or "round-robin",
                heartbeat=conf.broker_heartbeat,
                login_method=conf.broker_login_method,
                ssl=conf.broker_use_ssl,
                transport_options=self._transport_options(given),
            )
        except (ValueError, TypeError, KeyError):
            raise _unusable(given) from None

    @contextmanager
    def producer(self, producer: Any = None) -> Iterator[Any]:
        """``producer`` itself, or one from the pool for as long as the block runs."""
        if producer is not None:
            yield producer
            return
        with self._pool().acquire(block=True) as pooled:
            yield pooled

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn the broker's errors into ours, which say where and what to do."""
        first = self.urls("broker_write_url")[0]
        try:
            yield
        except (amqp.ChannelError, amqp.ConnectionError) as exc:
            if isinstance(exc, amqp.ConnectionError) and getattr(exc, "reply_code", 0) in (0, 320, 501, 541):
                raise unreachable(_WHAT, first, exc)  # noqa: B904 (it carries its cause)
            raise ConfigError(
                f"broker {trouble(shown(first), exc)}", "check its URL, queues and permissions"
            ) from exc
        except (OperationalError, OSError) as exc:
            raise unreachable(_WHAT, first, exc)  # noqa: B904 (it carries its cause)
        except (ValueError, KeyError):
            # kombu reads a part of the URL only when it connects.
            raise _unusable(self.urls("broker_write_url")) from None
        except Exception as exc:
            _raise_redis(first, exc)
            raise

    def close(self) -> None:
        """Close every pooled connection of this process."""
        pool, self._producers = self._producers, None
        if pool is not None and self._opened[0] == os.getpid():
            pool.force_close_all()
            pool.connections.force_close_all()

    def _pool(self) -> Any:
        # A fork shares the sockets of its parent, so it must not use them, nor close them in protocol;
        # new settings mean other connections.
        key = (os.getpid(), self.urls("broker_write_url"), repr(self._conf.broker_transport_options))
        if self._producers is None or self._opened != key:
            if self._producers is not None:
                self._inherited.append(self._producers)
            limit = self._conf.broker_pool_limit
            connections = BrokerPool(self.connection(purpose="broker_write_url"), limit)  # type: ignore[no-untyped-call]
            self._producers, self._opened = ProducerPool(connections, limit=limit), key  # type: ignore[no-untyped-call]
        return self._producers

    def _transport_options(self, urls: Sequence[str]) -> dict[str, Any]:
        options = dict(self._conf.broker_transport_options)
        if urls[0].partition("://")[0] in AMQP_SCHEMES:
            options.setdefault("confirm_publish", True)
        else:
            # kombu gives its connect timeout to AMQP alone; without these a server that hangs is waited for.
            options.setdefault("socket_connect_timeout", SILENCE)
            options.setdefault("socket_timeout", SILENCE)
        return options


def _unusable(urls: Sequence[str]) -> ConfigError:
    # What the parsers say may hold a part of the password.
    several = ";".join(map(shown, urls))
    return ConfigError(f"broker {several} is no usable URL", "write scheme://user:password@host/0, %-quoted")


def _raise_redis(url: str, exc: Exception) -> None:
    """Raise our error for one of redis-py, which kombu lets out when it is told not to try again."""
    # Who is on AMQP does not pay for the import.
    from redis import exceptions as redis  # noqa: PLC0415

    passing = (redis.ConnectionError, redis.TimeoutError, redis.OutOfMemoryError, redis.ReadOnlyError)
    if isinstance(exc, passing):
        raise unreachable(_WHAT, url, exc)
    if isinstance(exc, redis.RedisError):
        raise ConfigError(
            f"broker {shown(url)} refuses: {exc}", "check what is stored under the queue's name"
        ) from exc
