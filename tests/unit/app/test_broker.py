"""Connections to the broker: their URLs, what is shown of these, and alternates of every spelling."""

from __future__ import annotations

import pytest
from amqp.exceptions import AccessRefused, NotAllowed

from workerd import App
from workerd.app.sending.connection import BrokerConnection
from workerd.backends.url import shown
from workerd.errors import ConfigError
from workerd.transport.address import address_of_url

SOCKET, OTHER = "redis+socket:///run/a.sock", "redis+socket:///run/b.sock"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("redis://h/0", "redis://h/0"),
        ("embedded", "embedded"),
        ("redis://:pw@h/0", "redis://:**@h/0"),
        ("amqp://ann:p@w@h:1//", "amqp://ann:**@h:1//"),
        ("redis://ann:p/w@h/0", "redis://ann:**@h/0"),
        ("redis://ann@h", "redis://ann@h"),
        ("amqp://a:x@h1;amqp://b:y@h2", "amqp://a:**@h1;amqp://b:**@h2"),
        ("redis://a:p;q,r@h, redis://c:d@e", "redis://a:**@h, redis://c:**@e"),
        ("redis://h/0?password=x&db=1", "redis://h/0?password=**&db=1"),
        ("redis://h/0?password=x@y", "redis://h/0?password=**"),
        ("rediss://h?ssl_Keyfile_Password=x&api_TOKEN=y", "rediss://h?ssl_Keyfile_Password=**&api_TOKEN=**"),
        ("redis://:p?client_secret=abc@h/0", "redis://:**@h/0"),
        ("redis+socket://:pw@/run/x?virtual_host=2", "redis+socket://:**@/run/x?virtual_host=2"),
    ],
)
def test_what_is_shown_of_an_url_holds_no_secret(url: str, safe: str) -> None:
    assert shown(url) == safe


@pytest.mark.parametrize(
    "url", ["redis://h/0?password=hush", "redis://:hush/x@h/0", "redis://u:p@h:hush/0", "redis://h/hush"]
)
def test_an_url_that_cannot_be_read_is_an_error_without_its_password(url: str) -> None:
    app = App("proj", broker=url, backend=url)
    for act in (lambda: app.send_task("t"), lambda: address_of_url(url)):
        with pytest.raises(ConfigError, match="no usable URL") as caught:
            act()
        assert "hush" not in str(caught.value).replace(shown(url), "")
        assert caught.value.__suppress_context__


def test_one_url_has_no_alternates_to_switch_to() -> None:
    connection = App(broker=SOCKET).connection_for_write()
    assert (connection.alt, connection.cycle) == ([], None)


def test_a_connection_switches_to_a_socket_and_back() -> None:
    connection = App(broker=[SOCKET, "redis://h:7000/1", OTHER]).connection_for_write()
    places = []
    for _ in range(4):
        places.append((connection.transport_cls, connection.hostname, connection.uri_prefix))
        connection.maybe_switch_next()
    first, second, third, again = places
    assert first == again == ("redis", "socket:///run/a.sock", "redis")
    assert second == ("redis", "h", None)
    assert third == ("redis", "socket:///run/b.sock", "redis")


def test_a_copy_of_a_connection_switches_as_well() -> None:
    connection = App(broker=[SOCKET, OTHER]).connection_for_write().clone()
    assert isinstance(connection, BrokerConnection)
    connection.maybe_switch_next()
    assert (connection.transport_cls, connection.hostname) == ("redis", "socket:///run/b.sock")


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            AccessRefused("ACCESS_REFUSED - Login was refused", (0, 0), reply_code=403),
            "does not know this user with this password (ACCESS_REFUSED - Login was refused)",
        ),
        (
            NotAllowed("NOT_ALLOWED - vhost jobs not found", (10, 40), reply_code=530),
            "does not let this user into this virtual host, or has none of that name"
            " (NOT_ALLOWED - vhost jobs not found)",
        ),
    ],
)
def test_what_rabbitmq_refuses_is_told_in_words(refusal: Exception, told: str) -> None:
    app = App("refused", broker="amqp://ann:hush@h/jobs")
    with pytest.raises(ConfigError) as caught, app.broker.reaching():
        raise refusal
    assert str(caught.value) == (f"broker amqp://ann:**@h/jobs {told}; check its URL, queues and permissions")
