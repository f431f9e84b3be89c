"""Which kind of broker a connection leads to, told without loading its client.

kombu's transport for Redis takes a tenth of a second and 19 MB, which a daemon does without: the task source
and what nodes tell each other have links of their own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kombu.connection import Connection

_KINDS = MappingProxyType(
    {
        "redis": "redis",
        "rediss": "redis",
        "sentinel": "redis",
        "amqp": "amqp",
        "amqps": "amqp",
        "pyamqp": "amqp",
    }
)


def kind_of(connection: Connection) -> str:
    """``redis``, ``amqp``, or what else the transport of ``connection`` calls its kind."""
    name = connection.transport_cls
    kind = _KINDS.get(name) if isinstance(name, str) else None
    return kind or str(connection.transport.driver_type)
