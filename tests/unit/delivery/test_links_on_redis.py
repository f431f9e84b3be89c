"""Links of Redis that are lost: tags outlive them, but a server that crashes forgets its last second."""

from __future__ import annotations

from tests.unit.delivery.desk import Desk
from tests.unit.delivery.fakes import FakeSource, delivery, message


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
