"""What is due beyond the horizon is left to the broker, and what it cannot keep is held here."""

from __future__ import annotations

from typing import Any

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery.request import Stage


def far(desk: Desk, tag: Any = "t1", seconds: float = 61.0, **fields: Any) -> Any:
    return delivery(tag, message(f"id-{tag}", eta=desk.clock.wall() + seconds, **fields))


def stages(desk: Desk) -> list[Stage]:
    return [request.stage for request in desk.dispatcher.table]


def look_again(desk: Desk) -> None:
    """What is done each second."""
    desk.clock.advance(1.0)
    due = [entry for entry in desk.timer.entries if entry.secs == 1.0]
    for entry in due:
        desk.timer.entries.remove(entry)
        entry.fire()


def test_beyond_the_horizon_it_is_parked_and_up_to_it_held(desk: Desk) -> None:
    desk.take(far(desk, "near", 60.0), far(desk, "far", 60.1))
    assert desk.source.parked_tags == ["far"]
    assert stages(desk) == [Stage.SCHEDULED]


def test_what_is_parked_is_nobodys_here_and_runs_when_it_comes_again(desk: Desk) -> None:
    desk.take(far(desk))
    assert not len(desk.dispatcher.table)
    desk.clock.advance(61.0)
    desk.take(far(desk, seconds=0.0))
    assert len(desk.pool.jobs) == 1


def test_a_parked_message_of_the_same_publish_is_not_taken_for_a_repetition(desk: Desk) -> None:
    desk.take(far(desk, publisher_tag="p"))
    desk.dispatcher.detach()
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    desk.take(far(desk, "t2", 0.0, publisher_tag="p"))
    assert len(desk.pool.jobs) == 1


def test_while_the_broker_has_not_confirmed_it_it_is_unsettled(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(far(desk))
    assert stages(desk) == [Stage.SETTLING]
    desk.source.waiting.pop()()
    assert stages(desk) == []


def test_it_takes_its_deaths_with_it(desk: Desk) -> None:
    late = far(desk, deaths=2)
    desk.take(late)
    assert late.deaths == 2


def test_over_a_new_link_on_redis_it_is_parked_again(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(far(desk))
    desk.dispatcher.detach()
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    assert desk.source.parked_tags == ["t1", "t1"]


def test_over_a_new_link_of_rabbitmq_it_is_parked_when_it_comes_again() -> None:
    desk = Desk(survives_link=False, confirm=False)
    desk.take(far(desk))
    desk.dispatcher.detach()
    assert stages(desk) == []
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    again = far(desk, "t2")
    again.message.id, again.redelivered = "id-t1", True
    desk.take(again)
    assert desk.source.parked_tags == ["t1", "t2"]


def test_on_rabbitmq_an_original_whose_acknowledgement_was_lost_is_not_parked_twice() -> None:
    desk = Desk(survives_link=False)
    desk.take(far(desk))
    desk.dispatcher.detach()
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    again = far(desk)
    again.redelivered = True
    desk.take(again)
    assert desk.source.parked_tags == ["t1"]
    assert desk.source.settled == ["t1"]


def test_what_cannot_be_parked_is_held_and_parked_once_it_can(desk: Desk) -> None:
    desk.source.parks = False
    desk.take(far(desk, seconds=600.0))
    assert stages(desk) == [Stage.SCHEDULED]
    look_again(desk)
    assert desk.source.parked_tags == []
    desk.source.parks = True
    look_again(desk)
    assert desk.source.parked_tags == ["t1"]
    assert all(entry.cancelled for entry in desk.timer.entries if entry.secs == 600.0)
    assert not len(desk.dispatcher.table)


def test_what_cannot_be_parked_and_comes_to_be_due_runs(desk: Desk) -> None:
    desk.source.parks = False
    desk.take(far(desk))
    desk.clock.advance(61.0)
    next(entry for entry in desk.timer.entries if entry.secs > 1.0).fire()
    assert len(desk.pool.jobs) == 1
    desk.source.parks = True
    desk.timer.entries[0].fire()
    assert desk.source.parked_tags == []


def test_what_the_broker_refuses_after_all_is_held(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(far(desk, seconds=600.0))
    desk.source.refusals.pop()()
    assert stages(desk) == [Stage.SCHEDULED]
    look_again(desk)
    assert desk.source.parked_tags == ["t1", "t1"]


def test_what_is_refused_during_a_stop_goes_back(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(far(desk))
    desk.dispatcher.drain(lambda: None)
    assert desk.source.given_back == []
    desk.source.refusals.pop()()
    assert desk.source.given_back == ["t1"]


def test_a_stop_parks_nothing(desk: Desk) -> None:
    desk.dispatcher.drain(lambda: None)
    desk.take(far(desk))
    assert (desk.source.parked_tags, desk.source.given_back) == ([], ["t1"])


def test_more_is_asked_for_while_all_that_comes_is_parked(desk: Desk) -> None:
    rooms = []
    for batch in range(7):
        desk.take(*(far(desk, f"{batch}.{n}") for n in range(2)))
        rooms.append(desk.source.room)
    assert rooms == [6, 10, 18, 34, 66, 102, 102]
    desk.take(delivery("now"))
    assert desk.source.room == 1


def test_no_more_is_asked_for_after_a_pause(desk: Desk) -> None:
    desk.take(far(desk, "a"))
    look_again(desk)
    assert desk.source.room == 4
    look_again(desk)
    assert desk.source.room == 2


def test_what_came_in_the_bonus_and_is_too_much_goes_back_in_its_order(desk: Desk) -> None:
    desk.take(far(desk, "a"), far(desk, "b"))
    desk.take(far(desk, "c"), *(delivery(n) for n in range(5)))
    assert [job.id for job in desk.pool.jobs] == [4, 5]
    assert desk.source.given_back == [2, 3, 4]


def test_no_more_is_asked_for_while_many_are_on_their_way(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take(*(far(desk, n) for n in range(1000)))
    assert desk.source.room == 0
    desk.source.waiting.pop()()
    assert desk.source.room > 0
