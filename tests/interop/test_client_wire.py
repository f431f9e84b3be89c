"""The same call by both clients leaves the same envelope in Redis, and the same frames on RabbitMQ."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from kombu import Exchange, Queue

from tests.interop.stock import stock_client
from workerd import App

TASK_ID = "11111111-1111-4111-8111-111111111111"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

CALLS: dict[str, dict[str, Any]] = {
    "plain": {"args": (2, 3)},
    "kwargs": {"kwargs": {"x": "hé", "y": {"a": [1, {"b": (2,)}]}}},
    "types": {"args": (datetime(2026, 1, 2, tzinfo=UTC), b"abc", uuid.UUID(int=5), 1.5, None)},
    "long text": {"args": ("a" * 3000,)},
    "eta": {"args": (1,), "eta": datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))},
    "naive eta": {"args": (1,), "eta": datetime(2030, 1, 2, 3, 4, 5)},
    "expires at": {"args": (1,), "expires": SOON},
    "priority": {"args": (1,), "priority": 5},
    "limits": {"args": (1,), "time_limit": 30, "soft_time_limit": 20},
    "shadow and headers": {"args": (1,), "shadow": "pretty", "headers": {"tenant": "acme"}},
    "ignored": {"args": (1,), "ignore_result": True},
    "retries": {"args": (1,), "retries": 2, "root_id": "r", "parent_id": "p", "reply_to": "me"},
    "queue": {"args": (1,), "queue": "other"},
    "compression": {"args": ("a" * 300,), "compression": "zlib"},
    "pickle": {"args": (1,), "serializer": "pickle"},
    "countdown of zero": {"args": (1,), "countdown": 0},
    "group": {"args": (1,), "group_id": "g", "group_index": 1},
}


def stored(client: Any) -> tuple[str, dict[str, Any]]:
    """(list, envelope) of the only message, with what differs from call to call taken out."""
    (queue,) = [key for key in client.scan_iter() if client.type(key) == b"list"]
    assert client.llen(queue) == 1
    envelope = json.loads(client.rpop(queue))
    headers, properties = envelope["headers"], envelope["properties"]
    for name in ("reply_to", "delivery_tag"):
        assert isinstance(properties.pop(name), str)
    assert headers.pop("origin").startswith("gen")
    if "expiration" in properties:
        # Milliseconds that the two clients did not read at the same time.
        properties["expiration"] = int(properties["expiration"]) > 0
    # A pickle of equal values may differ in what it shares.
    if envelope["content-type"] == "application/json" and "compression" not in headers:
        envelope["body"] = json.loads(base64.b64decode(envelope["body"]))
    return queue.decode(), envelope


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_both_clients_write_the_same_envelope(redis_url: str, call: dict[str, Any]) -> None:
    options = {**call, "task_id": TASK_ID}
    args, kwargs = options.pop("args", ()), options.pop("kwargs", {})
    with (
        App("proj", broker=redis_url) as ours,
        stock_client(redis_url, redis_url) as stock,
        redis.Redis.from_url(redis_url) as client,
    ):
        stock.send_task("proj.add", args, kwargs, **options)
        queue, theirs = stored(client)
        # The first goes by kombu's producer, the others by the outlet on its connection.
        for way in ("kombu", "outlet", "many"):
            if way == "many":
                ours.send_many([("proj.add", args, kwargs, options)])
            else:
                ours.send_task("proj.add", args, kwargs, **options)
            our_queue, written = stored(client)
            assert our_queue == queue
            assert written == theirs
            for part in ("headers", "properties"):
                assert list(written[part]) == list(theirs[part])


@pytest.mark.parametrize("name", ["countdown", "expires"])
def test_a_number_of_seconds_becomes_the_same_kind_of_time(redis_url: str, name: str) -> None:
    options: dict[str, Any] = {"args": (1,), name: 120, "task_id": TASK_ID}
    times = []
    with stock_client(redis_url, redis_url) as stock, redis.Redis.from_url(redis_url) as client:
        for app in (stock, App("proj", broker=redis_url)):
            client.flushdb()
            app.send_task("proj.add", **options)
            _, envelope = stored(client)
            times.append(datetime.fromisoformat(envelope["headers"]["eta" if name == "countdown" else name]))
            app.close()
    assert times[0].tzinfo == times[1].tzinfo == UTC
    assert abs(times[1] - times[0]) < timedelta(seconds=60)


def test_local_times_carry_the_offset_of_the_apps_zone(redis_url: str) -> None:
    settings: dict[str, Any] = {"enable_utc": False, "timezone": "Europe/Oslo"}
    with App("proj", broker=redis_url, **settings) as app, redis.Redis.from_url(redis_url) as client:
        app.send_task("proj.add", (1, 2), countdown=90)
        eta = datetime.fromisoformat(stored(client)[1]["headers"]["eta"])
    assert eta.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    assert timedelta(0) < eta - datetime.now(UTC) <= timedelta(seconds=90)


def test_a_named_exchange_is_bound_as_celery_binds_it(redis_url: str) -> None:
    queue = Queue("video.q", Exchange("media", type="topic"), routing_key="media.#")
    with App("proj", broker=redis_url, task_queues=[queue]) as app, redis.Redis.from_url(redis_url) as client:
        app.send_task("proj.add", (1, 2), queue="video.q", routing_key="media.video")
        name, envelope = stored(client)
        bindings = client.smembers("_kombu.binding.media")
    assert name == "video.q"
    assert envelope["properties"]["delivery_info"] == {"exchange": "media", "routing_key": "media.video"}
    assert len(bindings) == 1


def test_both_clients_write_the_same_frames_on_rabbitmq(rabbit_url: str, redis_url: str) -> None:
    import amqp
    from kombu.utils.url import parse_url

    queue = f"frames-{uuid.uuid4()}"
    options: dict[str, Any] = {"args": (2, 3), "task_id": TASK_ID, "queue": queue, "priority": 4}
    options["expires"] = SOON
    with stock_client(rabbit_url, redis_url) as stock, App("proj", broker=rabbit_url) as ours:
        stock.send_task("proj.add", **options)
        for _ in ("by kombu's producer", "by the outlet on its connection"):
            ours.send_task("proj.add", **options)
    parts = parse_url(rabbit_url)
    host = f"{parts['hostname']}:{parts['port']}"
    login = {"userid": parts["userid"] or "guest", "password": parts["password"] or "guest"}
    with amqp.Connection(host, virtual_host=parts["virtual_host"] or "/", **login) as connection:
        channel = connection.channel()
        theirs, *ours_written = (channel.basic_get(queue, no_ack=True) for _ in range(3))
        channel.queue_delete(queue)
    for message in (theirs, *ours_written):
        message.properties.pop("reply_to")
        message.properties["expiration"] = int(message.properties["expiration"]) > 0
        message.properties["application_headers"].pop("origin")
    for written in ours_written:
        assert written.properties == theirs.properties
        assert written.body == theirs.body


def test_an_expiry_beyond_what_rabbitmq_takes_is_left_to_the_worker(rabbit_url: str) -> None:
    queue = f"far-{uuid.uuid4()}"
    with App("proj", broker=rabbit_url) as app:
        app.send_task("proj.add", (1, 2), queue=queue, expires=datetime(2040, 1, 1, tzinfo=UTC))
        with app.connection_for_read() as connection:
            message = connection.default_channel.basic_get(queue, no_ack=True)
            connection.default_channel.queue_delete(queue)
    assert message.headers["expires"] == "2040-01-01T00:00:00+00:00"
    assert "expiration" not in message.properties


def test_a_queue_that_others_made_with_other_arguments_is_used_as_it_is(
    rabbit_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"quorum-{uuid.uuid4()}"
    theirs = Queue(name, Exchange(name), name, queue_arguments={"x-queue-type": "quorum"})
    with App("proj", broker=rabbit_url) as app, app.connection_for_write() as connection:
        made = theirs(connection.default_channel)
        made.declare()
        for _ in range(3):
            app.send_task("t", queue=name)
        messages = [made.get(no_ack=True) for _ in range(3)]
        made.delete()
    assert [message.headers["task"] for message in messages if message] == ["t"] * 3
    assert caplog.text.count(f"queue {name} is used as it is") == 1


def test_the_queue_and_kombus_bindings_are_what_celery_makes(redis_url: str) -> None:
    with App("proj", broker=redis_url) as ours, redis.Redis.from_url(redis_url) as client:
        ours.send_task("proj.add", (1, 2))
        found: Any = {key.decode(): client.type(key).decode() for key in client.scan_iter()}
    assert found == {
        "celery": "list",
        "_kombu.binding.celery": "set",
        "_kombu.binding_permanent.celery": "set",
    }


def test_a_message_of_ours_waits_in_the_list_of_its_priority(redis_url: str) -> None:
    with App("proj", broker=redis_url) as ours, redis.Redis.from_url(redis_url) as client:
        ours.send_task("proj.add", (1, 2), priority=6)
        assert client.llen("celery\x06\x166") == 1
