"""The private brokers have the faults that the tests ask for, and keep what they were given."""

from __future__ import annotations

from pathlib import Path

import amqp
import pytest
import redis

from tests.support.brokers import RabbitServer, RedisServer
from tests.support.eventually import eventually


def test_redis_keeps_its_data_and_port_over_a_kill(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    with server.client() as client:
        client.set("key", "value")
        eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    url = server.url
    server.kill()
    assert not server.running
    server.start()
    with server.client() as client:
        assert client.get("key") == b"value"
    assert server.url == url
    server.stop()
    server.stop()  # once more changes nothing


def test_a_paused_redis_accepts_and_does_not_answer(redis_url: str, redis_server: RedisServer) -> None:
    redis_server.pause()
    with redis.Redis.from_url(redis_url, socket_timeout=0.3) as client, pytest.raises(redis.TimeoutError):
        client.ping()
    redis_server.resume()
    with redis_server.client() as client:
        assert client.ping()


@pytest.mark.usefixtures("redis_url")
def test_redis_drops_its_clients_and_goes_on(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        connection = client.connection_pool.get_connection()
        redis_server.drop_clients()
        with pytest.raises(redis.ConnectionError):
            connection.read_response()
        assert client.ping()


@pytest.mark.usefixtures("rabbit_url")
def test_rabbitmq_drops_its_clients(rabbit_server: RabbitServer) -> None:
    connection = amqp.Connection(f"127.0.0.1:{rabbit_server.port}")
    connection.connect()
    rabbit_server.drop_clients()
    with pytest.raises(amqp.ConnectionForced, match="dropped by a test"):
        connection.drain_events(timeout=20)
    connection.collect()


@pytest.mark.long
@pytest.mark.usefixtures("rabbit_url")
def test_rabbitmq_keeps_a_durable_queue_over_a_kill(rabbit_server: RabbitServer) -> None:
    address = f"127.0.0.1:{rabbit_server.port}"
    with amqp.Connection(address, confirm_publish=True) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, auto_delete=False)
        channel.basic_publish_confirm(amqp.Message("body", delivery_mode=2), routing_key="kept")

    rabbit_server.sync()
    rabbit_server.kill()
    refused = amqp.Connection(address, connect_timeout=5)
    with pytest.raises(OSError, match="refused"):
        refused.connect()
    refused.collect()
    rabbit_server.start()

    with amqp.Connection(address) as connection:
        message = connection.channel().basic_get("kept", no_ack=True)
        assert message is not None and message.body == "body"
        connection.channel().queue_delete("kept")
