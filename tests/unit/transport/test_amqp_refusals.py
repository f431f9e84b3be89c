"""What RabbitMQ refuses, in words."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest
from amqp import exceptions as amqp

from workerd.errors import UnavailableError
from workerd.transport.amqp_refusals import reaching, trouble

URL = "amqp://ann:**@h:5672//"
LOGIN = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the log."
QUEUE = "ACCESS_REFUSED - access to queue 'mail' in vhost '/' refused for user 'ann'"


@pytest.mark.parametrize(
    ("exc", "told"),
    [
        (amqp.AccessRefused(LOGIN, reply_code=403), "does not know this user with this password (ACCESS"),
        (amqp.AccessRefused(QUEUE, (50, 10), reply_code=403), f"all that is needed ({QUEUE})"),
        (amqp.NotAllowed("NOT_ALLOWED - no vhost x", reply_code=530), "has none of that name (NOT_ALLOWED"),
        (amqp.InternalError("INTERNAL - x", reply_code=541), "has an error of its own (INTERNAL - x)"),
        (amqp.UnexpectedFrame("no", reply_code=505), "refused (no)"),
    ],
)
def test_a_refusal_is_told_with_what_the_broker_said(exc: Exception, told: str) -> None:
    assert trouble(URL, exc).startswith(URL)
    assert told in trouble(URL, exc)


@pytest.mark.parametrize(
    ("exc", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its host name cannot be resolved (Name or"),
        (TimeoutError("timed out"), "it gives no answer"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (OSError("Server unexpectedly closed connection"), "Server unexpectedly closed connection"),
        (struct.error("unpack requires a buffer"), "it does not speak AMQP"),
        (ssl.SSLError(1, "[SSL: X] bad certificate"), "TLS failed"),
        (amqp.ConnectionError("Couldn't find appropriate auth mechanism"), "Couldn't find appropriate auth"),
    ],
)
def test_a_broker_that_cannot_be_reached_is_told_with_the_cause(exc: Exception, told: str) -> None:
    assert trouble(URL, exc).startswith(f"cannot connect to {URL}: {told}")


def test_only_trouble_of_the_broker_is_translated() -> None:
    with pytest.raises(UnavailableError, match=r"cannot connect to .*refused"), reaching(URL):
        raise ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(KeyError), reaching(URL):
        raise KeyError("a bug")
