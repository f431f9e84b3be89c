"""What RabbitMQ's refusal, or its silence, means in words.

Source: the reply codes of AMQP 0-9-1, and what RabbitMQ says with them.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from amqp.exceptions import AMQPError

from workerd.errors import RefusedError, UnavailableError

TROUBLE = (OSError, AMQPError, struct.error)
"""What py-amqp raises for a broker that cannot be reached, that refuses, or that is none."""

ACCESS_REFUSED, NOT_FOUND, NOT_ALLOWED, INTERNAL = 403, 404, 530, 541

REFUSALS = (ACCESS_REFUSED, NOT_ALLOWED)
"""These stay until somebody mends them."""

MEANINGS = {
    NOT_ALLOWED: "does not let this user into this virtual host, or has none of that name",
    INTERNAL: "has an error of its own",
    320: "has closed the connection",
}


@contextmanager
def reaching(broker: str) -> Iterator[None]:
    """Turn what py-amqp raises within into UnavailableError, or RefusedError where an operator must act.

    ``broker`` is the URL as people may see it.
    """
    try:
        yield
    except TROUBLE as exc:
        refused = isinstance(exc, ssl.SSLError) or getattr(exc, "reply_code", None) in REFUSALS
        raise (RefusedError if refused else UnavailableError)(trouble(broker, exc)) from exc


def trouble(broker: str, exc: BaseException) -> str:
    """``exc`` of ``broker`` in one sentence, its meaning first where it is known.  Pure."""
    code = getattr(exc, "reply_code", None) if isinstance(exc, AMQPError) else None
    if not code:
        return f"cannot connect to {broker}: {_cause(exc)}"
    said = str(getattr(exc, "reply_text", "") or exc).partition("\n")[0].rstrip(".")
    if code == ACCESS_REFUSED:
        # Logging in has no method; a queue or an exchange that the user may not use has one.
        login = "Login was refused" in said or "login" in said.lower()
        meaning = (
            "does not know this user with this password"
            if login
            else "does not permit this user all that is needed"
        )
    else:
        meaning = MEANINGS.get(code, "refused")
    return f"{broker} {meaning} ({said})"


def _cause(exc: BaseException) -> str:
    if isinstance(exc, socket.gaierror):
        return f"its host name cannot be resolved ({exc.strerror})"
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed: {str(exc).partition(' (_ssl')[0]}"
    if isinstance(exc, TimeoutError):
        return "it gives no answer"
    if isinstance(exc, struct.error):
        return "it does not speak AMQP"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return (str(exc).strip() or type(exc).__name__).partition("\n")[0]
