"""What steps may turn on a consumer: its queues, how many messages it holds, rates, and tasks that wait."""

from __future__ import annotations

import pytest
from kombu import Queue

from tests.unit.delivery.fakes import delivery
from tests.unit.worker.consuming import Bed, bed, letter
from workerd.delivery import TokenBucket

__all__ = ["bed"]


class Queues:
    """The part of a source that consumes queues."""

    def __init__(self, bed: Bed) -> None:
        self.calls: list[tuple[str, str]] = []
        bed.desk.source.add_queue = lambda group, name: self.calls.append(("add", name))  # type: ignore[attr-defined]
        bed.desk.source.cancel_queue = lambda name: self.calls.append(("cancel", name))  # type: ignore[attr-defined]
        for name in ("celery", "mail"):
            bed.desk.lane.add_queue(name)


def test_queues_are_cancelled_and_consumed_again_over_this_link(bed: Bed) -> None:
    queues = Queues(bed)
    assert [queue.name for queue in bed.consumer.queues] == ["celery", "mail"]
    bed.consumer.cancel(), bed.consumer.cancel()
    assert queues.calls == [("cancel", "celery"), ("cancel", "mail")]
    assert not bed.consumer.consuming_from("mail")
    assert bed.c.queues == ["celery", "mail"]  # the next link begins with them
    bed.consumer.consume(), bed.consumer.consume()
    assert queues.calls[2:] == [("add", "celery"), ("add", "mail")]
    assert bed.consumer.consuming_from(Queue("mail"))


def test_a_queue_that_is_added_is_consumed_from_the_next_consume_on(bed: Bed) -> None:
    queues = Queues(bed)
    bed.c.connection = None
    assert bed.consumer.add_queue("video").name == "video"
    assert not bed.consumer.consuming_from("video") and queues.calls == []
    assert [queue.name for queue in bed.consumer.queues] == ["celery", "mail", "video"]
    bed.c.task_source = None  # what is declared over a link is tried in the system tests
    bed.consumer.consume()
    assert bed.consumer.consuming_from("video") and bed.c.queues == ["celery", "mail", "video"]


def test_a_queue_that_is_cancelled_by_name_is_consumed_over_no_link(bed: Bed) -> None:
    queues = Queues(bed)
    bed.consumer.cancel_by_queue(Queue("mail")), bed.consumer.cancel_by_queue("mail")
    assert queues.calls == [("cancel", "mail")]
    assert bed.c.queues == ["celery"]


def test_how_many_are_held_can_be_set_and_moved(bed: Bed) -> None:
    qos = bed.c.qos
    assert qos.value == qos.prev == 10_000
    assert qos.increment_eventually(5) == 10_005
    assert qos.decrement_eventually() == 10_004
    assert (qos.prev, bed.desk.dispatcher.most_held) == (10_000, 10_000)
    (turn,) = [entry for entry in bed.desk.timer.entries if entry.secs == 0.0]
    turn.fire()
    assert qos.prev == bed.desk.dispatcher.most_held == 10_004
    assert qos.decrement_eventually(99_999) == qos.update() == 1
    assert bed.desk.source.room == 1
    bed.consumer.qos(prefetch_count=2)
    assert (qos.value, bed.desk.source.room) == (2, 2)
    bed.come("a", "b", "c")
    assert bed.desk.source.room == 0
    qos.set(0)
    assert qos.increment_eventually() == qos.decrement_eventually() == 0
    assert bed.desk.lane.most_held == 10_000
    with pytest.raises(ValueError, match="0 messages or more"):
        qos.set(-1)


def test_the_bucket_of_a_task_has_its_rate(bed: Bed) -> None:
    mail = bed.c.app.task(name="mail", rate_limit="30/m")(lambda: None)
    assert bed.c.bucket_for_task(mail).fill_rate == 0.5
    assert bed.c.bucket_for_task(mail, lambda rate, capacity: (rate, capacity)) == (0.5, 1)
    assert bed.c.bucket_for_task(bed.c.app.task(name="add")(lambda: None)) is None


def test_all_buckets_may_be_replaced_at_once(bed: Bed) -> None:
    bed.c.task_buckets["mail"] = TokenBucket(1)
    bed.c.task_buckets = {"sms": TokenBucket(2)}  # type: ignore[assignment]
    assert bed.c.task_buckets["mail"] is None
    assert list(bed.desk.dispatcher.rates.limited) == ["sms"]


def test_a_task_that_waits_for_its_eta_can_be_run_now(bed: Bed) -> None:
    late = letter("id-late", "proj.add")
    late.eta = bed.desk.clock.wall() + 30
    bed.consumer.take([delivery("late", late)])
    (request,) = bed.desk.dispatcher.table
    bed.c.apply_eta_task(request)
    bed.c.apply_eta_task(request)
    assert bed.running == ["id-late"]
