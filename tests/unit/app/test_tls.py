"""A broker's certificate is checked, whichever way its URL is written, unless that says otherwise."""

from __future__ import annotations

from ssl import CERT_NONE, CERT_REQUIRED
from typing import Any

import pytest

from workerd import App
from workerd.transport.address import address_of_connection

NAMED = {"cert_reqs": CERT_REQUIRED, "server_hostname": "h"}


def connection(*urls: str, **conf: Any) -> Any:
    app = App(broker=list(urls))
    app.conf.update(conf)
    return app.connection_for_write()


@pytest.mark.parametrize(
    ("url", "conf", "options"),
    [
        ("redis://h", {}, False),
        ("rediss://h", {}, {"ssl_cert_reqs": CERT_REQUIRED}),
        ("rediss://h?ssl_cert_reqs=none", {}, {"ssl_cert_reqs": CERT_NONE}),
        ("rediss://h?ssl_ca_certs=/ca", {}, {"ssl_cert_reqs": CERT_REQUIRED, "ssl_ca_certs": "/ca"}),
        ("rediss://h", {"ssl_cert_reqs": CERT_NONE}, {"ssl_cert_reqs": CERT_NONE}),
        ("amqp://h", {}, False),
        ("amqps://h", {}, {"cert_reqs": CERT_REQUIRED, "server_hostname": "h"}),
        ("amqp://h", True, {"cert_reqs": CERT_REQUIRED, "server_hostname": "h"}),
        (
            "amqp://h",
            {"ca_certs": "/ca"},
            {"cert_reqs": CERT_REQUIRED, "ca_certs": "/ca", "server_hostname": "h"},
        ),
        ("amqps://h?ssl_cert_reqs=none", {}, {"cert_reqs": CERT_NONE}),
        ("amqps://h?ssl_check_hostname=false", {}, {"cert_reqs": CERT_REQUIRED}),
        ("amqp://h", {"cert_reqs": CERT_REQUIRED}, {"cert_reqs": CERT_REQUIRED}),
    ],
)
def test_what_is_checked(url: str, conf: Any, options: Any) -> None:
    assert connection(url, broker_use_ssl=conf or False).ssl == options
    assert connection(url, broker_use_ssl=conf or False).clone().ssl == options


def test_the_daemons_own_connection_checks_too() -> None:
    assert address_of_connection(connection("rediss://h")).tls == {"ssl_cert_reqs": CERT_REQUIRED}


def test_the_name_that_is_looked_for_is_that_of_the_host_of_the_moment() -> None:
    found = connection("amqps://a", "amqps://b").clone()
    names = []
    for _ in range(3):
        names.append((found.hostname, found.ssl["server_hostname"]))
        found.maybe_switch_next()
    assert names == [("a", "a"), ("b", "b"), ("a", "a")]


def test_an_alternate_of_another_kind_has_its_own_options() -> None:
    found = connection("redis://a", "rediss://b", "amqps://c")
    found.maybe_switch_next()
    assert found.ssl == {"ssl_cert_reqs": CERT_REQUIRED}
    found.maybe_switch_next()
    assert found.ssl == {"cert_reqs": CERT_REQUIRED, "server_hostname": "c"}
