"""Guarded channels: what a consumer's callback raises ends there, under its name."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from kombu.transport import pyamqp, redis

from workerd.worker.consumer.guarded import Guard, GuardedChannel, guarded


class Ears:
    def hear(self, body: Any, message: Any) -> None:
        raise ConnectionResetError(f"not the broker: {body}")

    def hear_raw(self, message: Any) -> None:
        raise SystemExit(3)


@pytest.fixture
def connection() -> Connection:
    connection = Connection("memory://")
    connection.transport_cls = guarded(connection.get_transport_cls())
    return connection


def test_an_error_is_told_under_the_callbacks_name_and_the_next_message_comes(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    with connection, connection.channel() as channel:
        queue = Queue("guarded")
        producer = channel.Producer(routing_key="guarded")
        consumer = Consumer(
            channel, [queue], callbacks=[lambda body, message: heard.append(body), Ears().hear]
        )
        consumer.consume()
        for number in (1, 2):
            producer.publish(number, declare=[queue])
            connection.drain_events(timeout=1)
    assert heard == [1, 2]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("Error in tests.unit.worker.test_guarded.test_an_error")
    assert told[0].endswith("Ears.hear: ConnectionResetError('not the broker: 1')")


def test_a_system_exit_goes_on() -> None:
    with pytest.raises(SystemExit):
        Guard(Ears().hear_raw)(None)


@pytest.mark.parametrize("transport", [pyamqp.Transport, pyamqp.SSLTransport, redis.Transport])
def test_every_transport_gets_guarded_channels_and_stays_what_it_is(transport: Any) -> None:
    made = guarded(transport)
    channel = made.Connection.Channel if transport.driver_type == "amqp" else made.Channel
    assert issubclass(made, transport) and issubclass(channel, GuardedChannel)
    assert guarded(transport) is made
