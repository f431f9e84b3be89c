from __future__ import annotations

from kombu import Queue

from workerd import App
from workerd.cli.remarks import remarks
from workerd.config import Config


def queue(name: str, **arguments: str) -> Queue:
    return Queue(name, queue_arguments={key.replace("_", "-"): value for key, value in arguments.items()})


def test_quorum_queues_that_may_drop_messages_are_named() -> None:
    app = App("remarked")
    app.conf.task_queues = [
        queue("classic"),
        queue("drops", x_queue_type="quorum"),
        queue("safe", x_queue_type="quorum", x_dead_letter_exchange="dlx"),
    ]
    assert list(remarks(app, Config())) == ["declared as quorum queues without x-dead-letter-exchange: drops"]


def test_an_app_and_settings_that_fit_have_none() -> None:
    assert list(remarks(App("plain"), Config())) == []


def test_an_order_that_has_no_effect_is_among_them() -> None:
    [told] = remarks(App("plain"), Config(queue_order="strict"))
    assert "no effect on RabbitMQ" in told
