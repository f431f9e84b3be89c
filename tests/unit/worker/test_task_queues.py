"""Which queues are wanted, whatever links come and go."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from kombu import Exchange, Queue
from kombu.common import Broadcast

from tests.support.clock import FakeClock
from tests.unit.delivery.fakes import FakeTimer
from workerd import App
from workerd.delivery import Dispatcher
from workerd.errors import ConfigError, UsageError
from workerd.worker.consumer.task_queues import TaskQueues

QUEUES = {"default": ("celery",), "video": ("films",)}


@dataclass
class Source:
    """Remembers what it was asked; ``refused`` is the name of the queue that the broker does not give."""

    refused: str = ""
    added: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def add_queue(self, group: str, name: str) -> None:
        if name == self.refused:
            raise AccessRefused("ACCESS_REFUSED", reply_code=403)
        self.added.append((group, name))

    def cancel_queue(self, name: str) -> None:
        self.cancelled.append(name)


class Channel:
    """What of kombu's channel a declaration needs."""

    def __init__(self, declared: list[tuple[str, str]], refuses: bool) -> None:
        self._declared, self._refuses = declared, refuses

    def exchange_declare(self, **_: Any) -> None: ...

    arguments: Any = None

    def prepare_queue_arguments(self, arguments: Any, **more: Any) -> Any:
        return {**(arguments or {}), **{name: value for name, value in more.items() if value is not None}}

    def queue_declare(self, queue: str, auto_delete: bool, arguments: Any, **_: Any) -> tuple[str, int, int]:
        Channel.arguments = (auto_delete, arguments)
        if self._refuses:
            raise AccessRefused("ACCESS_REFUSED", reply_code=403)
        return ("", 0, 0)

    def queue_bind(self, queue: str, exchange: str, routing_key: str, **_: Any) -> None:
        self._declared.append((queue, f"{exchange}/{routing_key}"))


class Link:
    """A connection."""

    transport_cls = "redis"

    channel_errors = (AccessRefused,)

    def __init__(self, *, refuses: bool = False) -> None:
        self.declared: list[tuple[str, str]] = []
        self._refuses = refuses

    @contextmanager
    def channel(self) -> Any:
        yield Channel(self.declared, self._refuses)


@pytest.fixture
def queues(clock: FakeClock) -> TaskQueues:
    app = App("a")
    app.conf.task_queues = [Queue("mail", Exchange("post"), "letters", alias="m")]
    return TaskQueues(app, Dispatcher(clock=clock, timer=FakeTimer(), hostname="w@h", queues=QUEUES))


def test_a_new_queue_is_the_default_pools(queues: TaskQueues) -> None:
    source = Source()
    assert queues.add("new", Link(), source) == "new"  # type: ignore[arg-type]
    assert queues.add("new", Link(), source) == ""  # type: ignore[arg-type]
    assert source.added == [("default", "new")]
    assert queues.names == ["celery", "new", "films"]


def test_a_queue_of_another_pool_comes_back_to_it(queues: TaskQueues) -> None:
    source = Source()
    assert queues.cancel("films", source) == "films"  # type: ignore[arg-type]
    assert queues.cancel("films", source) == ""  # type: ignore[arg-type]
    assert queues.names == ["celery"]
    queues.add("films", Link(), source)  # type: ignore[arg-type]
    assert (source.cancelled, source.added) == (["films"], [("video", "films")])


def test_without_a_link_it_is_only_wanted(queues: TaskQueues) -> None:
    assert queues.add("new", None, None, exchange="e", routing_key="k") == "new"
    link = Link()
    queues.declare(link)  # the next one has come
    assert link.declared == [("new", "e/k")]


def test_a_queue_that_the_app_defines_is_taken_as_it_is_defined(queues: TaskQueues) -> None:
    link = Link()
    assert queues.add("m", link, Source(), exchange="other") == "mail"  # type: ignore[arg-type]
    assert link.declared == [("mail", "post/letters")]
    assert queues.cancel("m", None) == "mail"
    assert queues.names == ["celery", "films"]


def test_a_queue_that_the_broker_refuses_is_not_wanted(queues: TaskQueues) -> None:
    with pytest.raises(UsageError, match=r"queue 'new' cannot be consumed: .*ACCESS_REFUSED"):
        queues.add("new", Link(), Source(refused="new"))  # type: ignore[arg-type]
    assert queues.names == ["celery", "films"]


def test_one_that_may_not_be_declared_is_used_as_it_is_and_that_is_told_once(
    queues: TaskQueues, caplog: pytest.LogCaptureFixture
) -> None:
    source, link = Source(), Link(refuses=True)
    assert queues.add("mail", link, source) == "mail"  # type: ignore[arg-type]
    queues.declare(link)
    assert source.added == [("default", "mail")]
    assert [record.getMessage()[:36] for record in caplog.records] == ["Queue mail is used as it is, not as "]


@dataclass
class Ears:
    """A broadcast of Redis."""

    kept: list[tuple[str, str]] = field(default_factory=list)

    def keep(self, exchange: str, queue: str) -> bool:
        self.kept.append((exchange, queue))
        return True


def wanting(clock: FakeClock, *given: Queue, **settings: Any) -> TaskQueues:
    dispatcher = Dispatcher(
        clock=clock, timer=FakeTimer(), hostname="w@h", queues={"default": [queue.name for queue in given]}
    )
    return TaskQueues(App("a", task_queues=list(given) or None, **settings), dispatcher, "w@h")


def test_what_is_no_more_than_a_name_is_left_to_the_source(clock: FakeClock) -> None:
    link = Link()
    wanting(clock, Queue("a", Exchange("a"), "a"), Queue("b", Exchange("x"), "k")).declare(link)
    assert link.declared == [("b", "x/k")]


def test_a_node_has_a_queue_of_its_own_where_the_app_says_so(clock: FakeClock) -> None:
    link, queues = Link(), wanting(clock, worker_direct=True)
    assert queues.names == ["w@h.dq2"]
    queues.declare(link)
    assert link.declared == [("w@h.dq2", "C.dq2/w@h")]


def test_a_broadcast_is_heard_on_redis_and_lasts_an_hour_on_rabbitmq(clock: FakeClock) -> None:
    everyone, ears, link = Broadcast("everyone"), Ears(), Link()
    queues = wanting(clock, everyone)
    queues.declare(link, ears)  # type: ignore[arg-type]
    assert (ears.kept, link.declared) == ([("everyone", everyone.name)], [])
    queues.declare(link)
    assert link.declared == [(everyone.name, "everyone/celery")]
    assert Channel.arguments == (False, {"expires": 3600.0})


def test_headers_on_redis_are_refused_with_what_to_do(clock: FakeClock) -> None:
    queues = wanting(clock, Queue("pdf", Exchange("heads", type="headers")))
    with pytest.raises(ConfigError, match="'pdf' is bound to a headers exchange, which Redis does not have"):
        queues.declare(Link())
