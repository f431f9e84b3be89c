"""The task consumer: steps that put themselves between the source and the dispatcher."""

from __future__ import annotations

import pytest
from kombu.exceptions import MessageStateError

from tests.unit.delivery.fakes import delivery
from tests.unit.worker.consuming import Bed, bed
from workerd.worker.consumer.task_message import TaskMessage

__all__ = ["bed"]


def test_without_a_step_in_between_batches_go_straight_to_the_dispatcher(bed: Bed) -> None:
    bed.come("a", "b")
    assert bed.running == ["id-a", "id-b"]


def test_a_handler_sees_a_message_of_kombus_and_passes_it_on(bed: Bed) -> None:
    seen: list[TaskMessage] = []
    default = bed.consumer.on_message

    def handler(message: TaskMessage) -> None:
        seen.append(message)
        default(message)

    bed.consumer.on_message = handler
    bed.come("a")
    (found,) = seen
    assert bed.running == ["id-a"]
    assert (found.headers["x-mine"], found.properties["correlation_id"]) == ("yes", "id-a")
    assert (found.task, found.payload) == ("proj.add", [[1], {}, {}])
    assert found.delivery_info == {
        "exchange": "",
        "routing_key": "celery",
        "redelivered": False,
        "queue": "celery",
    }
    bed.consumer.on_message = default
    bed.come("b")
    assert len(seen) == 1


def test_a_handler_may_answer_instead(bed: Bed) -> None:
    answers = iter(["ack", "requeue", "reject"])
    bed.consumer.on_message = lambda message: getattr(message, next(answers))()
    bed.come("a", "b", "c")
    source = bed.desk.source
    assert (source.settled, source.given_back) == (["a"], ["b"])
    assert source.aside == [("c", "rejected by a step")]
    assert bed.running == [] and not len(bed.desk.dispatcher.table)


def test_a_message_has_one_answer(bed: Bed) -> None:
    kept: list[TaskMessage] = []
    bed.consumer.on_message = kept.append
    bed.come("a")
    kept[0].ack()
    for answer in (kept[0].ack, kept[0].reject, kept[0].requeue, lambda: bed.consumer.receive(kept[0])):
        with pytest.raises(MessageStateError):
            answer()
    assert bed.desk.source.settled == ["a"]


def test_a_handler_that_raises_is_told_and_its_message_runs(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(message: TaskMessage) -> None:
        if message.headers["id"] == "id-b":
            message.ack()
        raise ZeroDivisionError("mine")

    bed.consumer.on_message = broken
    bed.come("a", "b")
    assert bed.running == ["id-a"]
    assert bed.desk.source.settled == ["b"]
    assert caplog.text.count("broken: ZeroDivisionError('mine')") == 2


def test_what_cannot_be_read_is_no_handlers_matter(bed: Bed) -> None:
    bed.consumer.on_message = lambda message: message.ack()
    bed.consumer.take([delivery("bad", problem="no JSON")])
    assert bed.desk.source.aside == [("bad", "no JSON")]


def test_what_a_step_holds_counts_until_it_is_answered_or_the_link_ends(bed: Bed) -> None:
    kept: list[TaskMessage] = []
    bed.consumer.on_message = kept.append
    bed.c.qos.set(3)
    assert bed.desk.source.room == 2
    bed.come("a", "b")
    assert bed.desk.source.room == 1
    kept[0].ack()
    bed.desk.dispatcher.pump()
    assert bed.desk.source.room == 2
    bed.consumer.leave()
    bed.desk.dispatcher.pump()
    assert bed.desk.source.room == 2 and bed.desk.lane.handed_out == 0


def test_a_drain_gives_back_what_steps_hold(bed: Bed) -> None:
    bed.consumer.on_message = lambda message: None
    bed.come("a", "b")
    bed.consumer.return_all()
    assert bed.desk.source.given_back == ["a", "b"]


def test_an_answer_over_a_link_that_is_gone_is_refused(bed: Bed) -> None:
    kept: list[TaskMessage] = []
    bed.consumer.on_message = kept.append
    bed.come("a")
    bed.consumer.leave()
    bed.connect()
    with pytest.raises(MessageStateError, match="it comes again"):
        kept[0].ack()
