"""Two pools behind one dispatcher: neither has the other's work, and neither waits for the other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.unit.delivery.fakes import (
    FakeDeath,
    FakePool,
    FakeResults,
    FakeSource,
    FakeTimer,
    delivery,
    message,
)
from workerd.delivery import Dispatcher, TaskOptions
from workerd.delivery.dispatcher import MOST_HELD

SUCCESS = {"state": "SUCCESS", "runtime": 0.5, "repr": "3", "store": True}
QUEUES = {"default": ("celery", "mail"), "video": ("video",)}


class Desk:
    """A dispatcher with a pool of two slots for mail and one of one slot for video."""

    def __init__(self) -> None:
        self.clock, self.timer, self.source = FakeClock(), FakeTimer(), FakeSource()
        self.dispatcher = Dispatcher(clock=self.clock, timer=self.timer, hostname="w@h", queues=QUEUES)
        self.dispatcher.failures.results = FakeResults()  # type: ignore[assignment]
        self.pools = {"default": FakePool(alive=2), "video": FakePool(alive=1)}
        for name, lane in self.dispatcher.lanes.items():
            lane.pool = self.pools[name]  # type: ignore[assignment]
            lane.tasks = {"proj.add": TaskOptions(), "proj.early": TaskOptions(acks_late=False)}
        self.dispatcher.attach(self.source)  # type: ignore[arg-type]

    def take(self, queue: str, *tags: Any, **fields: Any) -> None:
        self.dispatcher.on_deliveries(
            [delivery(tag, message(f"id-{tag}", **fields), queue=queue) for tag in tags]
        )

    def jobs(self, pool: str) -> list[str]:
        return [job.title.partition("id-")[2].rstrip("]") for job in self.pools[pool].jobs]

    def done(self, pool: str, runtime: float = 0.5) -> None:
        self.dispatcher.runs.on_done(self.pools[pool].finish(), SUCCESS | {"runtime": runtime}, b"meta")
        self.dispatcher.lanes[pool].pump()  # the pool tells that it is free


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_queue_feeds_its_own_pool(desk: Desk) -> None:
    desk.take("video", "v1"), desk.take("mail", "m1"), desk.take("celery", "c1")

    assert (desk.jobs("video"), desk.jobs("default")) == (["v1"], ["m1", "c1"])


def test_a_queue_that_nobody_consumes_any_more_is_the_default_pools(desk: Desk) -> None:
    desk.take("gone", "g1")
    assert desk.jobs("default") == ["g1"]


def test_a_full_pool_asks_for_nothing_and_the_other_one_goes_on(desk: Desk) -> None:
    assert desk.source.rooms == {"default": 2, "video": 1}
    desk.take("video", "v1", "v2", "v3")

    assert desk.source.rooms == {"default": 2, "video": 0}
    desk.take("mail", "m1")
    desk.done("default")
    assert desk.source.rooms == {"default": 2, "video": 0}
    assert desk.jobs("video") == ["v1"]


def test_what_waits_for_one_pool_is_not_started_by_another(desk: Desk) -> None:
    desk.take("video", "v1", "v2")
    desk.take("mail", "m1", "m2", "m3")

    desk.done("video")

    assert (desk.jobs("video"), desk.jobs("default")) == (["v2"], ["m1", "m2"])


def test_each_pool_measures_its_own_tasks(desk: Desk) -> None:
    desk.take("video", "v1"), desk.take("mail", "m1")
    desk.done("default", runtime=0.001), desk.done("video", runtime=60.0)

    # A hundred milliseconds' worth of tasks that take one, and the free slot alone for those that take long.
    assert desk.source.rooms == {"default": 2 + 200, "video": 1}


def test_a_run_that_its_childs_death_cut_off_runs_again_in_its_own_pool(desk: Desk) -> None:
    desk.take("video", "v1")
    desk.dispatcher.runs.on_lost(desk.pools["video"].finish(), FakeDeath())  # type: ignore[arg-type]

    assert (desk.jobs("video"), desk.jobs("default")) == (["v1"], [])


def test_messages_that_wait_for_their_eta_fill_their_own_share_only(desk: Desk) -> None:
    later = desk.clock.wall() + 30
    desk.take("video", *range(MOST_HELD // 2), eta=later)

    assert desk.source.rooms == {"default": 2, "video": 0}


def test_an_eta_that_comes_starts_in_its_own_pool(desk: Desk) -> None:
    desk.take("video", "v1", eta=desk.clock.wall() + 5)
    desk.clock.advance(5)
    desk.timer.entries[0].fire()
    assert (desk.jobs("video"), desk.jobs("default")) == (["v1"], [])


def test_what_runs_and_what_waits_is_each_pools_own(desk: Desk) -> None:
    desk.take("video", "v1", "v2", "v3")

    lanes = desk.dispatcher.lanes.values()
    assert [(lane.demand(), lane.waiting()) for lane in lanes] == [(0, 0), (3, 2)]


def test_what_is_being_acknowledged_waits_for_a_slot_too(desk: Desk) -> None:
    desk.source.confirm = False
    desk.take("mail", "m1", task="proj.early")
    assert (desk.dispatcher.default.demand(), desk.dispatcher.default.waiting()) == (1, 1)


def test_a_drain_stops_every_group_and_waits_for_every_pool(desk: Desk) -> None:
    idle: list[bool] = []
    desk.take("video", "v1", "v2"), desk.take("mail", "m1")

    desk.dispatcher.drain(lambda: idle.append(True))

    assert desk.source.rooms == {"default": 0, "video": 0}
    assert desk.source.given_back == ["v2"]
    desk.done("video")
    assert idle == []
    desk.done("default")
    assert idle == [True]


def test_a_lost_link_drops_what_waits_in_every_lane(desk: Desk) -> None:
    desk.source.survives_link = False
    desk.take("video", "v1", "v2"), desk.take("mail", "m1", "m2", "m3")

    desk.dispatcher.detach()

    assert desk.dispatcher.default.ready == desk.dispatcher.lanes["video"].ready
    assert not desk.dispatcher.default.ready
    assert [desk.dispatcher.table.held(name) for name in QUEUES] == [2, 1]


def test_a_pause_stops_every_lane_and_lets_one_task_through_while_nothing_runs(desk: Desk) -> None:
    desk.take("mail", "m1")
    desk.dispatcher.paused = "memory is short"
    desk.dispatcher.pump()
    assert desk.source.rooms == {"default": 0, "video": 0}
    desk.done("default")
    assert desk.source.rooms == {"default": 1, "video": 0}
    desk.dispatcher.pump()
    assert desk.source.rooms == {"default": 1, "video": 1}
    desk.take("video", "v1")
    assert desk.source.rooms == {"default": 0, "video": 0}
    desk.dispatcher.paused = ""
    desk.dispatcher.pump()
    assert desk.source.rooms == {"default": 2, "video": 0}
