"""Where a Redis server is, from every spelling, and what of it is shown."""

from __future__ import annotations

from ssl import CERT_NONE, CERT_REQUIRED

import pytest
import redis
from kombu import Connection

from workerd.errors import ConfigError
from workerd.transport.address import RedisAddress, address_of_connection, address_of_url, masked

SPELLINGS = [
    ("redis://", RedisAddress()),
    ("redis://broker", RedisAddress(host="broker")),
    ("redis://broker:7000/3", RedisAddress(host="broker", port=7000, db=3)),
    ("redis://:s%40cret@broker/1", RedisAddress(host="broker", password="s@cret", db=1)),
    ("redis://ann:pw@broker", RedisAddress(host="broker", username="ann", password="pw")),
    ("redis+socket:///run/r.sock", RedisAddress(path="/run/r.sock")),
    ("redis+socket:///run/r.sock?virtual_host=2", RedisAddress(path="/run/r.sock", db=2)),
    ("redis+socket://ann:pw@/run/r.sock", RedisAddress(path="/run/r.sock", username="ann", password="pw")),
]


@pytest.mark.parametrize(("url", "address"), SPELLINGS)
def test_an_url_and_a_kombu_connection_to_it_name_the_same_server(url: str, address: RedisAddress) -> None:
    assert address_of_url(url) == address
    if url != "redis://":
        assert address_of_connection(Connection(url)) == address


def test_redis_pys_spelling_of_a_unix_socket_works_too() -> None:
    assert address_of_url("unix:///run/r.sock?db=2") == RedisAddress(path="/run/r.sock", db=2)


def test_tls_options_of_the_url_reach_redis_py() -> None:
    url = "rediss://broker:7001/0?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/etc/ca.pem"
    options = {"ssl_cert_reqs": CERT_REQUIRED, "ssl_ca_certs": "/etc/ca.pem"}
    address = address_of_url(url)
    assert address.tls == options
    assert address_of_connection(Connection(url)) == address
    assert isinstance(address.connection(1.0, 3), redis.SSLConnection)


def test_without_options_tls_checks_certificates_unless_kombu_was_told_otherwise() -> None:
    assert address_of_url("rediss://broker").tls == {}
    assert address_of_connection(Connection("redis://broker", ssl={"ssl_cert_reqs": CERT_NONE})).tls == {
        "ssl_cert_reqs": CERT_NONE
    }


def test_the_shown_url_has_no_password_and_can_be_read_again() -> None:
    for url in ("redis://ann:pw@broker:7000/3", "redis+socket://:pw@/run/r.sock?virtual_host=2"):
        address = address_of_url(url)
        assert "pw" not in address.shown + repr(address)
        assert address_of_url(address.shown).db == address.db


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://:pw@h/0", "redis://:**@h/0"),
        ("amqp://ann:p@w@h:1//", "amqp://ann:**@h:1//"),
        ("redis://ann@h", "redis://ann@h"),
        ("nonsense", "nonsense"),
    ],
)
def test_passwords_are_masked(url: str, safe: str) -> None:
    assert masked(url) == safe


@pytest.mark.parametrize("url", ["amqp://h", "http://h", "redis://h:port/0", "redis://h/zero", "h:6379"])
def test_what_names_no_redis_server_is_an_error_of_the_settings(url: str) -> None:
    with pytest.raises(ConfigError):
        address_of_url(url)


def test_a_sentinel_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match="Sentinel"):
        address_of_connection(Connection("sentinel://h:26379"))
