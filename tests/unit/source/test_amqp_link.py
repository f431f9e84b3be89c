"""Why a link to RabbitMQ was lost, in words that an operator can act on."""

from __future__ import annotations

from workerd.source.amqp.link import with_advice


def test_a_time_of_the_brokers_that_we_do_not_know_is_told_with_its_setting() -> None:
    told = with_advice(
        "(0, 0): (406) PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. "
        "Timeout value used: 5000 ms."
    )
    assert told.endswith("5000 ms; give that time to the daemon too, as amqp.consumer_timeout")


def test_every_other_reason_stays_as_it_is() -> None:
    assert with_advice("the broker closed the connection") == "the broker closed the connection"
