"""The dispatcher with fakes around it: what it starts, settles, gives back and puts aside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.delivery.desk import SUCCESS, Desk
from tests.unit.delivery.fakes import FakeSource, delivery, message
from workerd.delivery import Stage, TaskOptions
from workerd.delivery.outcome import DONE
from workerd.delivery.redeliveries import Fates
from workerd_pool import Cause


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_success_is_stored_before_its_message_is_settled(desk: Desk) -> None:
    desk.results.confirm = False
    desk.take(delivery("t1"))

    desk.done()

    assert desk.results.stored == [("id-t1", "SUCCESS", b"meta")]
    assert desk.source.settled == []
    desk.results.held.pop()()
    assert desk.source.settled == ["t1"]
    assert len(desk.dispatcher.table) == 0


def test_what_has_no_slot_waits_here_and_starts_in_order(desk: Desk) -> None:
    desk.take(*(delivery(f"t{n}") for n in range(5)))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t0]", "proj.add[id-t1]"]
    desk.done()
    assert desk.pool.jobs[-1].title == "proj.add[id-t2]"


def test_long_tasks_are_fetched_only_for_free_slots(desk: Desk) -> None:
    assert desk.source.room == 2
    desk.take(delivery("t1"))
    desk.done(SUCCESS | {"runtime": 30.0})

    assert desk.source.room == 2
    desk.take(delivery("t2"), delivery("t3"))
    assert desk.source.room == 0


def test_what_cannot_be_given_to_a_child_now_is_tried_again_and_holds_up_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.pool.most = 1000
    large = [message(task_id=f"id-{n}", body=b"x" * 2000) for n in "ab"]
    desk.take(delivery("a", large[0]), delivery("b", large[1]), delivery("c"))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-c]"]
    assert caplog.messages == [
        "Task proj.add[id-a] cannot be given to a child: [Errno 24] Too many open files; tried again in 1s"
    ]
    desk.done()
    (again,) = desk.timer.entries
    desk.pool.most = None
    again.fire()
    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-a]", "proj.add[id-b]"]
    assert desk.dispatcher.deaths.of(delivery("a", large[0])).deaths == 0


def test_a_message_with_an_eta_waits_for_it(desk: Desk) -> None:
    desk.take(delivery("t1", message(eta=desk.clock.wall() + 30)))

    assert desk.pool.jobs == []
    assert desk.timer.entries[0].secs == 30
    desk.clock.advance(30)
    desk.timer.entries[0].fire()
    assert len(desk.pool.jobs) == 1


def test_an_expired_message_is_revoked_and_never_run(desk: Desk) -> None:
    desk.take(delivery("t1", message(expires=desk.clock.wall() - 1)))

    assert desk.pool.jobs == []
    assert [(i, s) for i, s, _ in desk.results.stored] == [("id-1", "REVOKED")]
    assert desk.source.settled == ["t1"]


def test_an_unknown_task_is_put_aside_and_its_result_says_so(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.gone")))

    assert desk.results.stored[0][1] == "FAILURE"
    assert desk.source.aside == [("t1", "unregistered task proj.gone")]


def test_a_malformed_message_is_put_aside_and_the_next_one_runs(desk: Desk) -> None:
    desk.take(delivery("bad", problem="no JSON"), delivery("t1"))

    assert desk.source.aside == [("bad", "no JSON")]
    assert len(desk.pool.jobs) == 1


def test_an_early_acknowledgement_is_confirmed_before_the_run() -> None:
    desk = Desk(confirm=False)
    desk.take(delivery("t1", message(task="proj.early")))
    assert desk.source.settled == ["t1"]
    assert desk.pool.jobs == []  # the broker has not confirmed it

    desk.source.confirm = True
    desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
    assert len(desk.pool.jobs) == 1
    desk.done()
    assert desk.source.settled == ["t1", "t1"]  # nothing is settled after the run
    assert len(desk.dispatcher.table) == 0


def test_a_run_cut_off_by_its_childs_death_starts_again_first(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))

    desk.lost()

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t2]", "proj.add[id-t1]"]
    assert desk.pool.jobs[-1].header["redelivered"] is True
    assert desk.source.settled == []


def test_a_message_that_kills_three_children_is_put_aside_with_the_cause(desk: Desk) -> None:
    desk.take(delivery("t1"))
    for _ in range(3):
        desk.lost()

    assert desk.source.aside == [
        ("t1", "3 processes died while they ran it, the last: killed by signal 9 (SIGKILL)")
    ]
    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.pool.jobs == []


def test_the_hard_limit_fails_the_task_at_once(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.HARD_LIMIT, words="hard time limit (5s)", hard_limit=5.0)

    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.source.settled == ["t1"]


@pytest.mark.parametrize(("on_timeout", "settled", "back"), [(True, ["t1"], []), (False, [], ["t1"])])
def test_the_hard_memory_limit_fails_the_task_as_the_hard_time_limit_does(
    desk: Desk, on_timeout: bool, settled: list[str], back: list[str]
) -> None:
    desk.dispatcher.default.tasks = {"proj.add": TaskOptions(acks_on_timeout=on_timeout)}
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.MEMORY_LIMIT, words="hard memory limit (60 MB): it had 71 MB")

    assert json.loads(desk.results.stored[-1][2])["result"] == {
        "exc_type": "MemoryLimitExceeded",
        "exc_message": ["hard memory limit (60 MB): it had 71 MB"],
        "exc_module": "workerd_pool.errors",
    }
    assert (desk.source.settled, desk.source.given_back) == (settled, back)


def test_the_kernels_want_of_memory_is_nobodys_fault_and_the_task_runs_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.lost(cause=Cause.OOM, words="out of memory: killed by the kernel")

    assert desk.results.stored == []
    assert len(desk.pool.jobs) == 1


def test_a_run_that_an_operator_ends_is_revoked_and_does_not_run_again(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.dispatcher.kill()  # not even given back
    desk.lost(cause=Cause.OPERATOR, words="terminated")

    (task_id, state, meta) = desk.results.stored[-1][:3]
    assert (task_id, state) == ("id-t1", "REVOKED")
    assert json.loads(meta)["result"] == {
        "exc_type": "TaskRevokedError",
        "exc_message": ["terminated"],
        "exc_module": "celery.exceptions",
    }
    assert desk.source.settled == ["t1"]
    assert desk.dispatcher.totals.revoked == 1


@pytest.mark.parametrize(
    ("death", "text"),
    [
        ({}, "Worker exited prematurely: signal 9 (SIGKILL) Job: 1."),
        (
            {"cause": Cause.OOM, "words": "the kernel had no memory left"},
            "Worker exited prematurely: signal 9 (SIGKILL) Job: 1. Cause: the kernel had no memory left.",
        ),
    ],
)
def test_the_result_of_a_lost_run_says_why_in_billiards_words(
    desk: Desk, death: dict[str, Any], text: str
) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    desk.lost(**death)

    assert json.loads(desk.results.stored[-1][2])["result"]["exc_message"] == [text]


def test_an_early_acknowledged_run_never_starts_again(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    desk.lost()

    assert desk.pool.jobs == []
    assert desk.results.stored[-1][1] == "FAILURE"
    assert desk.source.settled == ["t1"]


def test_a_returned_job_is_the_next_to_start(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    desk.dispatcher.runs.on_returned(desk.pool.finish(1))

    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t1]", "proj.add[id-t2]"]


def test_a_failure_is_put_aside_where_the_task_does_not_acknowledge_failures(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.strict")))
    desk.done({"state": "FAILURE", "repr": "ValueError('x')", "store": True})

    assert desk.source.aside == [("t1", "failed: ValueError('x')")]


def test_a_rejection_with_requeue_gives_the_message_back(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "REJECTED", "requeue": True})

    assert desk.source.given_back == ["t1"]


def test_a_rejection_is_stored_as_the_failure_that_its_result_tells(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "REJECTED", "store": True})

    assert desk.results.stored == [("id-t1", "FAILURE", b"meta")]


def test_an_outcome_that_cannot_be_read_is_put_aside_as_our_own_failure(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": 7})

    assert desk.source.aside[0][1].startswith("could not be run: unreadable outcome")


def test_a_drain_gives_back_what_has_not_started_and_waits_for_the_rest(desk: Desk) -> None:
    idle: list[bool] = []
    desk.take(
        delivery("t1"), delivery("t2"), delivery("t3"), delivery("t4", message(eta=desk.clock.wall() + 9))
    )
    desk.dispatcher.drain(lambda: idle.append(True))

    assert sorted(desk.source.given_back) == ["t3", "t4"]
    assert desk.source.room == 0
    assert not idle
    desk.done(), desk.done()
    assert idle == [True]


def test_a_drain_of_an_idle_node_is_over_at_once(desk: Desk) -> None:
    idle: list[bool] = []
    desk.dispatcher.drain(lambda: idle.append(True))
    assert idle == [True]


def test_deliveries_that_come_while_draining_are_given_back(desk: Desk) -> None:
    desk.dispatcher.drain(lambda: None)
    desk.take(delivery("t9"))
    assert desk.source.given_back == ["t9"]


def test_a_kill_gives_back_what_it_cuts_off(desk: Desk) -> None:
    desk.take(delivery("t1"))
    assert desk.source.room == 1
    desk.dispatcher.kill()
    assert desk.source.room == 0
    desk.lost()
    assert desk.source.given_back == ["t1"]
    assert desk.pool.jobs == []


class TestLinkOnRedis:
    def test_a_run_that_ends_while_the_link_is_down_is_settled_over_the_next_one(self, desk: Desk) -> None:
        desk.take(delivery("t1"))
        desk.dispatcher.detach()
        desk.done()
        assert desk.source.settled == []

        new = FakeSource()
        desk.dispatcher.attach(new)  # type: ignore[arg-type]
        assert new.settled == ["t1"]
        assert len(desk.dispatcher.table) == 0

    def test_an_unconfirmed_settlement_is_sent_again(self) -> None:
        desk = Desk(confirm=False)
        desk.take(delivery("t1"))
        desk.done()
        desk.dispatcher.detach()

        new = FakeSource()
        desk.dispatcher.attach(new)  # type: ignore[arg-type]
        assert new.settled == ["t1"]

    def test_what_waits_here_goes_on_waiting(self, desk: Desk) -> None:
        desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
        desk.dispatcher.detach()
        assert desk.dispatcher.table.with_tag("t3")
        desk.done()
        assert desk.pool.jobs[-1].title == "proj.add[id-t3]"


class TestBrokerThatForgot:
    """Redis comes back from a crash without its last second: what we fetched or settled is in its queue."""

    def crash(self, desk: Desk) -> FakeSource:
        desk.dispatcher.detach()
        desk.source = FakeSource()
        desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
        return desk.source

    def test_a_run_that_goes_on_is_joined(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        new = self.crash(desk)
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert len(desk.pool.jobs) == 1
        desk.done()
        assert new.settled == ["t2"]

    def test_a_run_that_ended_a_moment_ago_is_settled_again(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        desk.done()
        new = self.crash(desk)
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert desk.pool.jobs == []
        assert new.settled == ["t2"]

    def test_a_settlement_that_is_older_was_on_disk(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        desk.done()
        desk.clock.advance(6)
        self.crash(desk)
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert len(desk.pool.jobs) == 1

    def test_what_was_given_back_runs_when_it_comes_again(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", publisher_tag="p")))
        desk.done({"state": "REJECTED", "requeue": True})
        self.crash(desk)
        desk.take(delivery("t2", message("a", publisher_tag="p")))
        assert len(desk.pool.jobs) == 1

    def test_an_early_acknowledged_run_is_acknowledged_again(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", task="proj.early", publisher_tag="p")))
        new = self.crash(desk)
        desk.take(delivery("t2", message("a", task="proj.early", publisher_tag="p")))
        assert new.settled == ["t2"]
        assert len(desk.pool.jobs) == 1

    def test_one_publish_that_reached_two_queues_is_two_runs(self, desk: Desk) -> None:
        content = message("a", publisher_tag="p")
        desk.take(delivery("t1", content, queue="one"), delivery("t2", content, queue="two"))
        assert len(desk.pool.jobs) == 2
        desk.done(), desk.done()
        assert desk.source.settled == ["t1", "t2"]

    def test_a_message_without_a_publishers_tag_always_runs(self, desk: Desk) -> None:
        content = message("a", payload=b'{"headers": {}}')
        desk.take(delivery("t1", content))
        desk.done()
        self.crash(desk)
        desk.take(delivery("t2", content, redelivered=True))
        assert len(desk.pool.jobs) == 1


class TestLinkOnAmqp:
    @pytest.fixture
    def desk(self) -> Desk:
        return Desk(survives_link=False)

    def reconnect(self, desk: Desk) -> FakeSource:
        desk.dispatcher.detach()
        desk.source = FakeSource(survives_link=False)
        desk.dispatcher.attach(desk.source)  # type: ignore[arg-type]
        return desk.source

    def test_what_has_not_started_is_forgotten_because_it_comes_again(self, desk: Desk) -> None:
        desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
        self.reconnect(desk)
        assert [request.id for request in desk.dispatcher.table] == ["id-t1", "id-t2"]

    def test_a_redelivery_joins_the_run_that_goes_on(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        new = self.reconnect(desk)
        desk.take(delivery("t2", message("a"), redelivered=True))

        assert len(desk.pool.jobs) == 1
        desk.done()
        assert new.settled == ["t2"]

    def test_a_redelivery_of_a_finished_run_is_acknowledged(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.dispatcher.detach()
        desk.done()
        new = self.reconnect(desk)
        desk.take(delivery("t2", message("a"), redelivered=True))

        assert new.settled == ["t2"]
        assert desk.pool.jobs == []

    def test_a_retry_of_the_same_id_runs(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.dispatcher.detach()
        desk.done({"state": "RETRY"})
        self.reconnect(desk)
        desk.take(delivery("t2", message("a", retries=1)))
        assert len(desk.pool.jobs) == 1

    def test_the_same_id_sent_anew_always_runs(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.dispatcher.detach()
        desk.done()
        self.reconnect(desk)
        desk.take(delivery("t2", message("a")))
        assert len(desk.pool.jobs) == 1

    def test_two_equal_messages_are_two_runs_and_join_two_redeliveries(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")), delivery("t2", message("a")))
        new = self.reconnect(desk)
        desk.take(*(delivery(tag, message("a"), redelivered=True) for tag in ("t3", "t4")))
        assert len(desk.pool.jobs) == 2
        desk.done(), desk.done()
        assert sorted(new.settled) == ["t3", "t4"]

    def test_a_run_that_another_node_takes_over_holds_up_no_stop(self, desk: Desk) -> None:
        idle: list[bool] = []
        desk.take(delivery("t1", message("a", task="proj.strict")))
        desk.dispatcher.detach()
        desk.done({"state": "FAILURE", "repr": "x"})
        self.reconnect(desk)
        desk.dispatcher.drain(lambda: idle.append(True))
        assert idle == [True]

    def test_a_run_that_must_be_put_aside_waits_for_its_redelivery(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a", task="proj.strict")))
        desk.dispatcher.detach()
        desk.done({"state": "FAILURE", "repr": "x"})
        new = self.reconnect(desk)
        desk.take(delivery("t2", message("a", task="proj.strict"), redelivered=True))
        assert new.aside == [("t2", "failed: x")]

    def test_a_finished_run_is_remembered_for_ten_minutes_only(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.dispatcher.detach()
        desk.done()
        self.reconnect(desk)
        desk.clock.advance(601)
        desk.take(delivery("t2", message("a"), redelivered=True))
        assert len(desk.pool.jobs) == 1

    def test_an_acknowledgement_that_was_lost_with_the_link_is_written_again(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")), delivery("t2", message("b", task="proj.strict")))
        desk.done(), desk.done({"state": "FAILURE", "repr": "x"})
        assert (desk.source.settled, len(desk.source.aside)) == (["t1"], 1)
        new = self.reconnect(desk)
        redelivered = (message("a"), message("b", task="proj.strict"))
        desk.take(*(delivery(f"again {m.id}", m, redelivered=True) for m in redelivered))
        assert desk.pool.jobs == []
        assert (new.settled, new.aside) == (["again a", "again b"], [])

    def test_a_settlement_is_unsure_for_ten_minutes_before_the_loss_too(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.done()
        desk.clock.advance(601)
        self.reconnect(desk)
        desk.take(delivery("t2", message("a"), redelivered=True))
        assert len(desk.pool.jobs) == 1

    def test_a_redelivery_over_a_link_that_was_not_lost_is_another_message(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.done()
        desk.take(delivery("t2", message("a"), redelivered=True))  # another node has given it back
        assert len(desk.pool.jobs) == 1

    def test_what_was_given_back_runs_when_it_comes_again(self, desk: Desk) -> None:
        desk.take(delivery("t1", message("a")))
        desk.done({"state": "REJECTED", "requeue": True})
        self.reconnect(desk)
        desk.take(delivery("t2", message("a"), redelivered=True))
        assert len(desk.pool.jobs) == 1

    @pytest.mark.parametrize("losses", [1, 2])
    def test_the_same_id_sent_anew_runs_also_when_the_link_is_lost_before(
        self, desk: Desk, losses: int
    ) -> None:
        desk.take(delivery("t1", message("a")))
        for _ in range(losses):
            self.reconnect(desk)
        desk.take(delivery("t2", message("a"), redelivered=True))
        desk.done()
        desk.take(delivery("x"), delivery("y"), delivery("t3", message("a")))  # it waits for a slot
        self.reconnect(desk)
        desk.done()
        desk.take(delivery("t4", message("a"), redelivered=True))
        assert [job.title for job in desk.pool.jobs] == ["proj.add[id-y]", "proj.add[a]"]

    @pytest.mark.parametrize("ends", [False, True], ids=["goes on", "has ended"])
    def test_an_early_acknowledged_run_whose_message_comes_again_is_not_repeated(
        self, desk: Desk, ends: bool
    ) -> None:
        desk.take(delivery("t1", message("a", task="proj.early")))
        new = self.reconnect(desk)
        if ends:
            desk.done()
        desk.take(delivery("t2", message("a", task="proj.early"), redelivered=True))
        assert new.settled == ["t2"]
        assert len(desk.pool.jobs) == (0 if ends else 1)
        while desk.pool.jobs:
            desk.done()
        assert len(desk.dispatcher.table) == 0

    def test_no_more_settlements_are_kept_than_can_be_on_their_way(self) -> None:
        fates = Fates(most=100)
        for n in range(1000):
            fates.add(b"%d" % (n % 150), DONE, now=float(n % 7))
        assert len(fates) <= 100
        assert len(fates.empty(7.0)) == 100


def test_stages_tell_where_a_request_is(desk: Desk) -> None:
    desk.take(delivery("t1"), delivery("t2"), delivery("t3"))
    stages = [request.stage for request in desk.dispatcher.table]
    assert stages == [Stage.RUNNING, Stage.RUNNING, Stage.RESERVED]


def test_a_message_that_the_child_cannot_read_is_put_aside_and_fails(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "FAILURE", "repr": "DecodeError('x')", "store": True, "refused": True})

    assert desk.source.aside == [("t1", "could not be run: DecodeError('x')")]
    assert desk.results.stored[-1][1] == "FAILURE"


def test_a_task_that_only_the_new_generation_knows_goes_to_it(desk: Desk) -> None:
    desk.take(delivery("t1"))
    desk.done({"state": "FAILURE", "refused": True, "unregistered": True})

    assert desk.results.stored == []
    assert [job.title for job in desk.pool.jobs] == ["proj.add[id-t1]"]


def test_an_expired_message_whose_result_is_being_stored_is_not_given_back_too(desk: Desk) -> None:
    desk.results.confirm = False
    desk.take(delivery("t1", message(expires=desk.clock.wall() - 1)))
    desk.dispatcher.drain(lambda: None)
    assert desk.source.given_back == []
    desk.results.held.pop()()
    assert desk.source.settled == ["t1"]


def test_a_kill_tells_in_the_result_that_an_early_acknowledged_message_will_not_run(desk: Desk) -> None:
    desk.take(delivery("t1", message(task="proj.early")))
    job = desk.pool.finish()
    desk.pool.alive = 0
    desk.dispatcher.runs.on_returned(job)
    desk.dispatcher.kill()
    desk.dispatcher.give_back_all("the daemon was killed")

    assert desk.source.given_back == []
    assert desk.results.stored[-1][1] == "FAILURE"
    assert len(desk.dispatcher.table) == 0


def test_what_is_held_has_a_bound_that_counts_messages_waiting_for_their_eta(desk: Desk) -> None:
    soon = desk.clock.wall() + 30
    desk.take(*(delivery(n, message(str(n), eta=soon)) for n in range(10_000)))
    assert desk.source.room == 0
