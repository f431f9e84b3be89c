"""The app's connections to its broker, and the seats from which it publishes over them.

Units:   seconds.
Errors:  UnavailableError, in one line, when the broker cannot be reached; ConfigError when it refuses.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from amqp import exceptions as amqp
from kombu.exceptions import OperationalError

from workerd.app.sending.connection import BrokerConnection, spelled_out
from workerd.app.sending.seats import Seat, Seats
from workerd.app.settings.conf import Conf
from workerd.backends.url import EMBEDDED, resolve, shown, unreachable
from workerd.errors import ConfigError, RefusedError, WorkerdError
from workerd.transport.amqp_refusals import trouble

AMQP_SCHEMES = ("amqp", "amqps", "pyamqp")

_WHAT = "broker"

SILENCE = 5.0
"""Seconds for which a Redis server may be silent.  kombu's own longest wait in one command is a second."""


GOODBYE = 5.0
"""Seconds for each word of a leave at the end of a process: more than a busy broker takes to read what is on
its way to it, some megabytes."""


class Broker:
    """Where an app's messages go."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self._opened: tuple[tuple[Any, ...], Seats] | None = None  # and for which settings
        self._inherited: list[Seats] = []
        self._leaves = False  # at the end of the process

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
        options: dict[str, Any] = {
            "connect_timeout": conf.broker_connection_timeout,
            "failover_strategy": conf.broker_failover_strategy or "round-robin",
            "heartbeat": conf.broker_heartbeat,
            "login_method": conf.broker_login_method,
            "ssl": conf.broker_use_ssl,
            "transport_options": self._transport_options(given),
        }
        try:
            # A list, even of one, makes kombu switch to its next entry after each failure.
            where = spelled_out(real[0]) if len(real) == 1 else {"hostname": real}
            return BrokerConnection(**{**options, **where})  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, KeyError):
            raise _unusable(given) from None

    @contextmanager
    def producer(self, producer: Any = None) -> Iterator[Any]:
        """``producer`` itself, or one of ours for as long as the block runs."""
        if producer is not None:
            yield producer
            return
        with self.seat() as seat:
            yield seat.producer

    def seat(self) -> AbstractContextManager[Seat]:
        """A connection for as long as the block runs; waits while all are taken."""
        return self._seats().taken()

    def unreachable(self, exc: Exception) -> WorkerdError:
        """The error that says so, because of ``exc``."""
        return unreachable(_WHAT, self.urls("broker_write_url")[0], exc)

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
        except amqp.MessageNacked as exc:
            raise RefusedError(
                f"broker {shown(first)} does not take the message", "its queue is full, or cannot store it"
            ) from exc
        except (OperationalError, OSError) as exc:
            if isinstance(cause := exc.__cause__, Exception):  # kombu calls refusals of Redis so, too
                _raise_redis(first, cause)
            raise unreachable(_WHAT, first, exc)  # noqa: B904 (it carries its cause)
        except (ValueError, KeyError):
            # kombu reads a part of the URL only when it connects.
            raise _unusable(self.urls("broker_write_url")) from None
        except Exception as exc:
            _raise_redis(first, exc)
            raise

    def close(self, patience: float | None = None) -> None:
        """Close the connections of this process that are not in use; on AMQP see ``Seat.close``."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0][0] == os.getpid():
            opened[1].close(patience)

    def _seats(self) -> Seats:
        # A fork shares the sockets of its parent, so it must not use them, nor close them in protocol;
        # new settings mean other connections.
        conf, opened = self._conf, self._opened
        options = conf.broker_transport_options
        settings = (os.getpid(), conf.broker_write_url, conf.broker_url, conf.broker_pool_limit, options)
        if opened is not None and opened[0] == settings:
            return opened[1]
        if opened is not None:
            self._inherited.append(opened[1])
        seats = Seats(partial(self.connection, purpose="broker_write_url"), conf.broker_pool_limit)
        self._opened = ((*settings[:-1], dict(options)), seats)  # a copy: they may be changed in place
        if not (self._leaves or options.get("confirm_publish", True)):
            self._leaves = True
            atexit.register(_leave, weakref.ref(self))
        return seats

    def _transport_options(self, urls: Sequence[str]) -> dict[str, Any]:
        options = dict(self._conf.broker_transport_options)
        if urls[0].partition("://")[0] in AMQP_SCHEMES:
            options.setdefault("confirm_publish", True)
        else:
            # kombu gives its connect timeout to AMQP alone; without these a server that hangs is waited for.
            options.setdefault("socket_connect_timeout", SILENCE)
            options.setdefault("socket_timeout", SILENCE)
        return options


def _leave(ref: weakref.ref[Broker]) -> None:
    """Without confirms RabbitMQ may drop what it has not read when a connection just ends."""
    if (broker := ref()) is not None:
        broker.close(GOODBYE)


def _unusable(urls: Sequence[str]) -> ConfigError:
    # What the parsers say may hold a part of the password.
    several = ";".join(map(shown, urls))
    return ConfigError(f"broker {several} is no usable URL", "write scheme://user:password@host/0, %-quoted")


def _raise_redis(url: str, exc: Exception) -> None:
    """Raise our error for one of redis-py, which kombu lets out when it is told not to try again."""
    if not type(exc).__module__.startswith("redis"):
        return
    # Who is on AMQP does not pay for the import.
    from redis import exceptions as redis  # noqa: PLC0415

    passing = (redis.ConnectionError, redis.TimeoutError, redis.OutOfMemoryError, redis.ReadOnlyError)
    if isinstance(exc, passing):
        raise unreachable(_WHAT, url, exc)
    if isinstance(exc, redis.RedisError):
        raise ConfigError(
            f"broker {shown(url)} refuses: {exc}", "check what is stored under the queue's name"
        ) from exc
