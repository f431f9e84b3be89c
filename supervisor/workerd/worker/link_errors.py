"""Which exceptions say that the link to a broker is lost.

kombu's own lists are too wide for callbacks that also run user code: every OSError (a missing file) and,
for Redis, every KeyError.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys

from kombu.exceptions import ConnectionError as AmqpConnectionError
from kombu.exceptions import OperationalError

KINDS: tuple[type[BaseException], ...] = (
    ConnectionError,
    TimeoutError,
    EOFError,
    ssl.SSLError,
    socket.gaierror,
    AmqpConnectionError,
    OperationalError,
)

ERRNOS = frozenset(
    (errno.EBADF, errno.ENOTCONN, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH)
)


def is_link_error(exc: BaseException) -> bool:
    """Whether ``exc`` means that a connection is gone and a new one may mend it."""
    if isinstance(exc, OSError) and exc.errno in ERRNOS:
        return True
    # py-amqp tells the end of its stream with a bare OSError; the system's own always have a number.
    if type(exc) is OSError and exc.errno is None:
        return True
    # Imported by whoever raised it; a daemon that uses RabbitMQ alone does not load redis-py.
    redis = sys.modules.get("redis.exceptions")
    theirs = (redis.ConnectionError, redis.TimeoutError) if redis is not None else ()
    return isinstance(exc, (*KINDS, *theirs))
