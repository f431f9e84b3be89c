"""Counting what waits at the broker, on each of them, without waiting for the answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

import pytest
import redis
from kombu import Connection

from tests.process.source.conftest import MakeNode
from tests.process.source.node import Node, envelope
from tests.process.source.test_groups import Client

Counts = Mapping[str, int]


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[Client]:
    name = {"redis": "redis_url", "rabbitmq": "rabbit_url"}[request.param]
    client = Client(request.getfixturevalue(name))
    yield client
    client.connection.collect()


def asked(node: Node, *queues: str) -> list[Counts]:
    """A question that is on its way; the answer will be put into the list."""
    answers: list[Counts] = []
    node.source.backlog(queues, answers.append)
    return answers


def counted(node: Node, *queues: str) -> Counts:
    answers = asked(node, *queues)
    node.until(lambda: answers)
    return answers[0]


def test_it_counts_what_no_node_has_yet(node: MakeNode, broker: Client) -> None:
    quick, slow = broker.quick, broker.slow
    ours = node(broker.url).start(quick, slow=[slow])
    assert counted(ours, quick, slow) == {quick: 0, slow: 0}

    broker.send(quick, *(f"q{n}" for n in range(7)))
    broker.send(slow, "s0")
    ours.until(lambda: counted(ours, quick, slow) == {quick: 7, slow: 1})
    ours.fetch(3)
    ours.until(lambda: counted(ours, quick, slow) == {quick: 4, slow: 1})
    assert counted(ours, slow) == {slow: 1}


def test_the_answer_is_not_waited_for_and_answers_come_in_order(node: MakeNode, broker: Client) -> None:
    ours = node(broker.url).start(broker.quick, slow=[broker.slow])
    first, second = asked(ours, broker.quick), asked(ours, broker.slow)

    assert (first, second) == ([], [])
    ours.until(lambda: second)
    assert (first, second) == ([{broker.quick: 0}], [{broker.slow: 0}])


def test_messages_go_on_meanwhile(node: MakeNode, broker: Client) -> None:
    ours = node(broker.url).start(broker.quick)
    broker.send(broker.quick, *(f"q{n}" for n in range(50)))
    answers = []
    for _ in range(10):
        answers.append(asked(ours, broker.quick))
        ours.confirmed(ours.source.settle, ours.fetch(5))
    ours.until(lambda: all(answers))

    assert ours.ids == [f"q{n}" for n in range(50)]
    assert not ours.lost


def test_nothing_is_answered_after_a_close(node: MakeNode, broker: Client) -> None:
    ours = node(broker.url).start(broker.quick)
    answers = asked(ours, broker.quick)
    ours.source.close()
    ours.source.backlog([broker.quick], answers.append)
    ours.turn()
    assert answers == []


@pytest.mark.parametrize("priority", [0, 3, 9])
def test_redis_counts_every_priority(
    node: MakeNode, redis_url: str, client: redis.Redis, priority: int
) -> None:
    ours = node(redis_url).start("q")
    client.lpush("q", envelope("t0"))
    client.lpush(f"q\x06\x16{priority}" if priority else "q", envelope("t1"))
    assert counted(ours, "q") == {"q": 2}


def test_redis_leaves_out_a_queue_that_is_no_list(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start("q")
    client.set("other\x06\x163", "x")
    client.lpush("q", envelope("t0"))
    assert counted(ours, "other", "q") == {"q": 1}
    assert not ours.lost


def test_a_question_wakes_no_node_and_misses_no_wake_up(
    node: MakeNode, redis_url: str, client: redis.Redis
) -> None:
    ours = node(redis_url).start("q", other=["r"])
    ours.source.fetch("default", 100)
    for n in range(20):
        counted(ours, "q", "r")
        client.lpush("q", envelope(f"t{n}"))
        client.lpush("r", envelope(f"r{n}"))
        ours.until(lambda n=n: len(ours.got) == n + 1)  # type: ignore[misc]
    assert counted(ours, "q", "r") == {"q": 0, "r": 20}


def test_rabbitmq_answers_without_a_queue_that_is_gone_and_goes_on(node: MakeNode, rabbit_url: str) -> None:
    names = [f"{word}.{uuid.uuid4().hex[:8]}" for word in ("mine", "gone")]
    mine, gone = names
    ours = node(rabbit_url).start(mine)
    with Connection(rabbit_url) as connection, connection.channel() as channel:
        channel.queue_declare(gone, durable=True, auto_delete=False)
    assert counted(ours, mine, gone) == {mine: 0, gone: 0}
    with Connection(rabbit_url) as connection, connection.channel() as channel:
        channel.queue_delete(gone)

    first, second = asked(ours, mine, gone, mine), asked(ours, gone)
    ours.until(lambda: first and second)
    assert (first, second) == ([{mine: 0}], [{}])
    assert counted(ours, mine) == {mine: 0}
    assert not ours.lost
