"""Dead queues under an operator's hands: looking and choosing lose, double and disorder nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import redis
from kombu import Connection

from tests.process.source.amqp_client import Client
from tests.process.source.conftest import MakeNode
from tests.process.source.node import Node, envelope, letter, numbered
from tests.support.brokers import RabbitServer, RedisServer
from tests.support.eventually import eventually
from workerd.errors import UnavailableError
from workerd.source.dead_queues import DeadLetter, DeadQueues, open_dead_queues


class Room:
    """One broker with a queue of its own, and its dead queue."""

    def __init__(self, url: str, node: MakeNode, arguments: dict[str, Any] | None) -> None:
        self.url, self._node, self._arguments = url, node, arguments
        self.queue = f"q.{uuid.uuid4().hex[:8]}"
        self.connection = Connection(url)
        self.found: DeadQueues = open_dead_queues(self.connection)

    def put_aside(self, *ids: str, **fields: Any) -> None:
        """A message for each of ``ids`` comes and is put aside."""
        ours = self._consumer()
        if self._arguments is not None:
            client = Client(self.url)
            client.channel.queue_declare(
                f"{self.queue}.dead", durable=True, auto_delete=False, arguments=self._arguments
            )
            client.send(*ids, queue=self.queue, priority=3, headers={"task": "proj.add", "mine": [1, {}]})
            client.connection.release()
        else:
            with Connection(self.url) as connection:
                raws = [envelope(task_id, self.queue, priority=3) for task_id in ids]
                connection.default_channel.client.lpush(f"{self.queue}\x06\x163", *raws)
        for number, delivery in enumerate(ours.fetch(len(ids))):
            mark = letter(queue=self.queue, id=f"letter-{ids[number]}", deaths=2, **fields)
            ours.confirmed(ours.source.put_aside, delivery, mark)
        ours.source.close()

    def ids(self) -> list[str]:
        return [one.id for one in self.found.scan(self.queue)]

    def requeue(self, *ids: str) -> list[str]:
        return [one.id for one in self.found.requeue(self.queue, lambda one: one.id in ids)]

    def arrived(self, count: int) -> list[Any]:
        """Deliveries of the queue itself."""
        return self._consumer().fetch(count)

    def _consumer(self) -> Node:
        """A node of its own name, so that it does not take over what another one holds."""
        return self._node(self.url, f"host:{uuid.uuid4().hex}").start(self.queue)

    def close(self) -> None:
        self.found.close()
        self.connection.release()


MakeRoom = Callable[[], Room]


@pytest.fixture(params=["redis", "classic", "quorum"])
def make(request: pytest.FixtureRequest, node: MakeNode) -> Iterator[MakeRoom]:
    made: list[Room] = []
    url = request.getfixturevalue("redis_url" if request.param == "redis" else "rabbit_url")
    # A quorum queue that drops what was returned twice: looking must return nothing.
    quorum = {"x-queue-type": "quorum", "x-delivery-limit": 1}
    arguments = {"redis": None, "classic": {}, "quorum": quorum}[request.param]

    def one() -> Room:
        made.append(Room(url, node, arguments))
        return made[-1]

    yield one
    for room in made:
        room.close()


@pytest.fixture
def room(make: MakeRoom) -> Room:
    return make()


def test_looking_changes_nothing_however_often(room: Room) -> None:
    room.put_aside(*numbered(5))
    for _ in range(3):
        assert room.ids() == numbered(5)
    assert room.found.count(room.queue) == 5
    first = next(iter(room.found.scan(room.queue)))
    assert (first.letter.reason, first.letter.deaths, first.letter.node) == ("test", 2, "n@h")
    assert (first.key, first.letter.queue, first.queue) == ("letter-t000", room.queue, room.queue)
    assert first.message is not None
    assert first.message.task == "proj.add"
    assert "x-workerd-reason" not in first.headers


def test_a_look_that_ends_early_leaves_all_in_their_order(room: Room) -> None:
    room.put_aside(*numbered(5))
    letters = room.found.scan(room.queue)
    assert [next(letters).id for _ in range(2)] == numbered(2)
    letters.close()  # type: ignore[attr-defined]
    assert room.ids() == numbered(5)


def test_one_that_is_chosen_is_sent_anew_and_the_rest_stays_in_its_order(room: Room) -> None:
    room.put_aside(*numbered(4))
    before = {one.id: one for one in room.found.scan(room.queue)}
    assert room.requeue("t001", "t003", "nowhere") == ["t001", "t003"]
    assert room.ids() == ["t000", "t002"]
    for delivery in room.arrived(2):
        old, new = before[delivery.message.id].message, delivery.message
        assert old is not None
        assert new.deaths == 0
        assert (new.id, new.task, new.priority) == (old.id, old.task, 3)
        assert (new.publisher_tag, new.requeued) != (old.publisher_tag, old.requeued)
        assert not delivery.redelivered
        marks = ("x-workerd-deaths", "x-workerd-requeued")
        assert headers_of(new) == {k: v for k, v in before[new.id].headers.items() if k not in marks}


def headers_of(message: Any) -> dict[str, Any]:
    from workerd.protocol.incoming import open_payload

    headers = open_payload(message.payload).headers
    headers.pop("x-workerd-requeued", None)
    return headers


def test_a_requeue_of_all_takes_what_is_there_and_not_what_comes_meanwhile(room: Room) -> None:
    room.put_aside(*numbered(3))
    moving = room.found.requeue(room.queue, lambda _: True)
    moved = [next(moving).id]
    room.arrived(1)  # and is held, so that the next to come is another
    room.put_aside("later")
    moved += [one.id for one in moving]
    assert moved == numbered(3)
    assert room.ids() == ["later"]


def test_a_purge_tells_how_many_it_has_deleted(room: Room) -> None:
    assert room.found.purge(room.queue) == 0
    room.put_aside(*numbered(3))
    assert room.found.purge(room.queue) == 3
    assert (room.found.count(room.queue), room.ids()) == (0, [])
    assert room.queue not in room.found.names()


def test_a_queue_without_dead_letters_has_none(room: Room) -> None:
    assert (room.found.count("never"), list(room.found.scan("never"))) == (0, [])
    assert not list(room.found.requeue("never", lambda _: True))


def test_two_commands_at_once_lose_and_double_nothing(make: MakeRoom, room: Room) -> None:
    room.put_aside(*numbered(6))
    other = make()
    other.queue = room.queue
    ours, theirs = room.found.requeue(room.queue, odd), other.found.requeue(room.queue, odd)
    moved: list[str] = []
    for turn in [ours, theirs] * 4:
        moved += [one.id for one in islice(turn, 1)]
    assert len(set(moved)) == len(moved)
    moved += room.requeue("t001", "t003", "t005")
    assert sorted(moved) == ["t001", "t003", "t005"]
    assert sorted(room.ids()) == ["t000", "t002", "t004"]


def odd(one: DeadLetter) -> bool:
    return int(one.id[1:]) % 2 == 1


class TestRedis:
    @pytest.fixture
    def room(self, redis_url: str, node: MakeNode) -> Iterator[Room]:
        room = Room(redis_url, node, None)
        yield room
        room.close()

    def test_more_than_a_page_is_read_and_moved_in_order(self, room: Room, client: redis.Redis) -> None:
        room.put_aside(*numbered(250))
        assert room.ids() == numbered(250)
        assert room.requeue(*numbered(250)[::2]) == numbered(250)[::2]
        assert room.ids() == numbered(250)[1::2]
        assert [d.message.id for d in room.arrived(125)] == numbered(250)[::2]

    def test_the_broker_tells_which_queues_have_some(self, room: Room) -> None:
        assert room.found.names() == set()
        room.put_aside("a")
        assert room.found.names() == {room.queue}

    def test_what_cannot_be_read_is_shown_and_sent_again_byte_for_byte(
        self, room: Room, node: MakeNode, client: redis.Redis
    ) -> None:
        client.lpush(room.queue, b"\xfe no json")
        ours = node(room.url).start(room.queue)
        [delivery] = ours.fetch(1)
        ours.confirmed(ours.source.put_aside, delivery, letter(queue=room.queue, id="here"))
        [one] = room.found.scan(room.queue)
        assert (one.id, one.raw, one.message) == ("here", b"\xfe no json", None)
        ours.source.close()
        assert room.requeue("here") == ["here"]
        assert client.lrange(room.queue, 0, -1) == [b"\xfe no json"]

    def test_an_entry_that_somebody_else_has_put_there_is_shown_and_stays(
        self, room: Room, client: redis.Redis
    ) -> None:
        client.lpush(f"{room.queue}.dead", b"what is this")
        [one] = room.found.scan(room.queue)
        assert one.raw == b"what is this"
        assert one.letter.reason.startswith("no letter")
        assert one.id == one.key

    def test_a_key_of_a_wrong_type_at_the_destination_loses_nothing(
        self, room: Room, client: redis.Redis
    ) -> None:
        room.put_aside("a")
        client.set(f"{room.queue}\x06\x163", "not a list")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            room.requeue("a")
        assert room.ids() == ["a"]

    def test_a_server_without_memory_lets_one_be_sent_anew(
        self, room: Room, client: redis.Redis, redis_server: RedisServer
    ) -> None:
        room.put_aside("a")
        client.config_set("maxmemory", "1")
        try:
            assert room.requeue("a") == ["a"]
        finally:
            client.config_set("maxmemory", "0")

    def test_a_server_that_is_not_there_is_told(self) -> None:
        with pytest.raises(UnavailableError):
            open_dead_queues(Connection("redis://127.0.0.1:1/0"))


class TestRabbit:
    @pytest.fixture(params=[{}, {"x-queue-type": "quorum"}], ids=["classic", "quorum"])
    def room(self, request: pytest.FixtureRequest, rabbit_url: str, node: MakeNode) -> Iterator[Room]:
        room = Room(rabbit_url, node, request.param)
        yield room
        room.close()

    def test_a_command_whose_connection_breaks_leaves_all(
        self, room: Room, rabbit_url: str, rabbit_server: RabbitServer, node: MakeNode
    ) -> None:
        room.put_aside(*numbered(4))
        letters = room.found.scan(room.queue)
        next(letters), next(letters)
        rabbit_server.drop_clients()
        with pytest.raises(room.connection.connection_errors):
            list(letters)
        again = Room(rabbit_url, node, {})
        again.queue = room.queue
        assert sorted(again.ids()) == numbered(4)
        again.close()

    def test_a_destination_that_refuses_loses_nothing(self, room: Room, rabbit_url: str) -> None:
        room.put_aside("a", "b")
        client = Client(rabbit_url)
        client.channel.queue_delete(room.queue)
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        client.channel.queue_declare(room.queue, durable=True, auto_delete=False, arguments=full)
        with pytest.raises(UnavailableError, match="takes no more"):
            room.requeue("a")
        eventually(lambda: sorted(room.ids()) == ["a", "b"])
        client.connection.collect()

    def test_a_destination_that_is_gone_is_declared_again(self, room: Room, rabbit_url: str) -> None:
        room.put_aside("a")
        client = Client(rabbit_url)
        client.channel.queue_delete(room.queue)
        client.connection.collect()
        assert room.requeue("a") == ["a"]
        assert [d.message.id for d in room.arrived(1)] == ["a"]
