"""Links of AMQP that are lost: what was delivered comes again, and no run is repeated for it."""

from __future__ import annotations

import pytest

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import FakeSource, delivery, message
from workerd.delivery.outcome import DONE
from workerd.delivery.redeliveries import Fates


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
