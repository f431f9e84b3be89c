"""Random histories of the delivery table, and of what stands around it, against a model of few words.

The model is the broker: which messages wait in it and which it has handed out, and for each message what the
world has seen of it.  Links, brokers and children break at any moment.  While this node's supervisor lives,
no message is lost, none that has ended runs again, and whatever the node holds is somewhere in the broker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.unit.delivery.broker import Broker, Sent
from tests.unit.delivery.desk import SUCCESS, Desk
from tests.unit.delivery.fakes import delivery, message
from workerd.delivery import Stage

TASKS = ("proj.add", "proj.add", "proj.early")


class History(RuleBasedStateMachine):
    """``survives`` is Redis: tags stay ours over a lost link; else AMQP."""

    survives: bool

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.desk.dispatcher.detach()
        self.messages: list[Sent] = []
        self.waiting: list[tuple[Sent, bool]] = []  # with: redelivered
        self.out: dict[Any, Sent] = {}  # handed out under a tag
        self.dead: list[Sent] = []
        self.finished: list[Sent] = []
        self.jobs: dict[int, Sent] = {}
        self.tags = 0
        self.link: Broker | None = None
        self.connect()

    # -- the world -----------------------------------------------------------------------------

    @rule(task=st.sampled_from(TASKS), retry=st.booleans(), at_once=st.booleans())
    def publish(self, task: str, retry: bool, at_once: bool) -> None:
        """A new one, or a retry of the last, whatever has become of that."""
        number, task_id, retries = len(self.messages), f"id{len(self.messages)}", 0
        if retry and self.messages:
            last = self.messages[-1]
            task_id, task, retries = last.task_id, last.task, last.retries + 1
        sent = Sent(number, task_id, task, retries)
        self.messages.append(sent)
        self.waiting.append((sent, False))
        if at_once and self.link is not None:
            self.deliver(4)

    @precondition(lambda self: self.link is not None and self.waiting)
    @rule(count=st.integers(1, 4))
    def deliver(self, count: int) -> None:
        came = []
        for _ in range(min(count, len(self.waiting))):
            sent, redelivered = self.waiting.pop(0)
            self.tags += 1
            self.out[self.tags] = sent
            content = message(
                sent.task_id,
                sent.task,
                retries=sent.retries,
                publisher_tag=sent.publisher_tag if self.survives else "",
                body=sent.task_id.encode(),
            )
            came.append(delivery(self.tags, content, redelivered=redelivered))
        self.desk.take(*came)
        self._look_at_jobs()

    @precondition(lambda self: self.link is not None and self.link.told)
    @rule(count=st.integers(1, 3))
    def the_broker_hears(self, count: int) -> None:
        """In the order in which it was told; each is confirmed at once."""
        for _ in range(count):
            if self.link is not None and self.link.told:
                self._hear(*self.link.told.pop(0), confirm=True)
        self._look_at_jobs()

    def _hear(self, word: str, tag: Any, then: Callable[[], None], *, confirm: bool) -> None:
        sent = self.out.pop(tag, None)
        if sent is not None:
            if word == "settle":
                self.finished.append(sent)
            elif word == "put aside":
                self.dead.append(sent)
            else:
                self.waiting.insert(0, (sent, True))
        if confirm:
            then()

    # -- the pool ------------------------------------------------------------------------------

    def _look_at_jobs(self) -> None:
        """Whatever the pool was given since the last look has begun."""
        for job in self.desk.pool.jobs:
            if job.id not in self.jobs:
                request = self.desk.dispatcher.table.get(job.id)
                assert request is not None
                sent = self._of(request)
                assert not sent.ended, f"{sent} begins again after its end"
                assert sent not in self.jobs.values(), f"{sent} runs twice at once"
                sent.runs += 1
                self.jobs[job.id] = sent

    def _of(self, request: Any) -> Sent:
        [sent] = [
            sent
            for sent in self.messages
            if (sent.task_id, sent.retries) == (request.message.id, request.message.retries)
        ]
        return sent

    @precondition(lambda self: self.desk.pool.jobs)
    @rule(data=st.data())
    def a_run_ends(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.desk.pool.jobs) - 1))
        self.jobs.pop(self.desk.pool.jobs[index].id).ended += 1
        self.desk.done(SUCCESS, index)
        self._look_at_jobs()

    @precondition(lambda self: self.desk.pool.jobs)
    @rule()
    def a_child_dies(self) -> None:
        sent = self.jobs.pop(self.desk.pool.jobs[0].id)
        sent.cut_off += 1
        if sent.task == "proj.early" or sent.cut_off == 3:
            sent.ended += 1  # it does not run again
        self.desk.lost()
        self._look_at_jobs()

    @precondition(lambda self: self.desk.results.confirm)
    @rule()
    def the_backend_hangs(self) -> None:
        self.desk.results.confirm = False

    @precondition(lambda self: not self.desk.results.confirm)
    @rule()
    def the_backend_goes_on(self) -> None:
        self.desk.results.confirm = True
        held, self.desk.results.held = self.desk.results.held, []
        for stored in held:
            stored()
        self._look_at_jobs()

    # -- links ---------------------------------------------------------------------------------

    @precondition(lambda self: self.link is not None)
    @rule(heard=st.integers(0, 6))
    def lose_the_link(self, heard: int) -> None:
        """The broker has heard some of what it was told; its answers are lost."""
        link, self.link = self.link, None
        assert link is not None
        for word in link.told[:heard]:
            self._hear(*word, confirm=False)
        if not self.survives:
            back = [(sent, True) for sent in self.out.values()]
            self.out.clear()
            self.waiting[:0] = back
        self.desk.dispatcher.detach()
        self._look_at_jobs()

    @precondition(lambda self: self.link is None)
    @rule()
    def connect(self) -> None:
        self.link = Broker(survives_link=self.survives)
        self.desk.dispatcher.attach(self.link)  # type: ignore[arg-type]
        self._look_at_jobs()

    @precondition(lambda self: self.link is not None and self.messages)
    @rule(heard=st.integers(0, 3), count=st.integers(1, 4))
    def the_link_blinks(self, heard: int, count: int) -> None:
        """What it had delivered comes again at once, or at the latest when something else does."""
        self.lose_the_link(heard)
        self.connect()
        if self.waiting:
            self.deliver(count)

    @rule(seconds=st.sampled_from((0.1, 60.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)

    # -- what must hold ------------------------------------------------------------------------

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        places = [sent for sent, _ in self.waiting] + list(self.out.values()) + self.dead + self.finished
        assert Counter(sent.number for sent in places) == Counter(range(len(self.messages)))

    @invariant()
    def nothing_is_finished_that_has_not_run(self) -> None:
        for sent in self.finished:
            held = any(self._of(request) is sent for request in self.desk.dispatcher.table)
            if sent.task == "proj.early":
                assert sent.ended or held or not sent.runs
            else:
                assert sent.ended, f"{sent} is forgotten and has not ended"

    @invariant()
    def what_is_held_is_counted(self) -> None:
        table = self.desk.dispatcher.table
        requests = list(table)
        assert table.held("default") == len(requests)
        linked = [request for request in requests if request.linked]
        ours = {request.delivery.tag for request in linked if not request.acknowledged}
        assert ours == set(table.tags)  # of what is acknowledged the broker knows no tag
        running = [request for request in requests if request.stage is Stage.RUNNING]
        assert {request.number for request in running} == set(self.jobs)

    def teardown(self) -> None:
        """After quiet nothing is left here, and everything has come to its end."""
        if self.link is None:
            self.connect()
        self.the_backend_goes_on()
        for _ in range(40 * (len(self.messages) + 1)):
            if self.waiting:
                self.deliver(4)
            self.the_broker_hears(5)
            while self.desk.pool.jobs:
                self.jobs.pop(self.desk.pool.jobs[0].id).ended += 1
                self.desk.done()
                self._look_at_jobs()
            if not self.waiting and not self.out and not len(self.desk.dispatcher.table):
                break
        assert not self.waiting and not self.out
        assert len(self.desk.dispatcher.table) == 0
        assert all(sent.ended == 1 for sent in self.messages if sent.task != "proj.early")


def run(survives_link: bool, rounds: int) -> None:
    class Run(History):
        survives = survives_link

    run_state_machine_as_test(Run, settings=settings(max_examples=30 * rounds, stateful_step_count=50))


def test_nothing_is_lost_or_repeated_where_tags_outlive_a_link(rounds: int) -> None:
    run(True, rounds)


def test_nothing_is_lost_or_repeated_where_the_broker_delivers_again(rounds: int) -> None:
    run(False, rounds)
