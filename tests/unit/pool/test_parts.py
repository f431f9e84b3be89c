"""The small parts: alarm, generations, interrupt, deaths, kernel."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Callable

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from tests.support.clock import FakeClock
from workerd_pool import Cause, Death, PlatformError, Spec
from workerd_pool.alarm import Alarm
from workerd_pool.deadlines import NEVER, Deadlines
from workerd_pool.death import KEPT, Deaths, Reason
from workerd_pool.generations import Generations
from workerd_pool.health import Health
from workerd_pool.interrupt import Interrupt
from workerd_pool.journal import Entry, Happened, Journal
from workerd_pool.linux import check_kernel


class FakeTimer:
    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self.delay, self.fire, self.canceled = delay, callback, False

    def cancel(self) -> None:
        self.canceled = True


class FakeLoop:
    def __init__(self) -> None:
        self.timers: list[FakeTimer] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(delay, callback))
        return self.timers[-1]


def test_the_alarm_keeps_the_earliest_time_only(clock: FakeClock) -> None:
    rung: list[float] = []
    loop = FakeLoop()
    alarm = Alarm(loop, clock.now, rung.append)  # type: ignore[arg-type]
    alarm.at(math.inf)
    assert loop.timers == []
    alarm.at(clock.now() + 5.0)
    alarm.at(clock.now() + 9.0)
    assert [timer.delay for timer in loop.timers] == [5.0]
    alarm.at(clock.now() - 1.0)
    assert [timer.canceled for timer in loop.timers] == [True, False]
    assert loop.timers[1].delay == 0.0
    loop.timers[1].fire()
    assert rung == [clock.now()]
    alarm.at(clock.now() + 9.0)
    alarm.cancel()
    assert loop.timers[2].canceled


def test_deadlines_know_their_next() -> None:
    due = Deadlines()
    assert due.next() == NEVER
    due.soft, due.hard = 3.0, 4.0
    due.enter("READY", 2.0)
    assert due.next() == 2.0
    due.phase_over()
    assert due.next() == 3.0
    due.job_over()
    assert due.next() == NEVER


def test_the_stacks_are_asked_for_shortly_before_the_hard_limit_and_after_the_soft_one() -> None:
    due = Deadlines()
    due.begin_job(100.0, None, None)
    assert due.next() == NEVER
    due.begin_job(100.0, 50.0, 60.0)
    assert (due.soft, due.dump, due.hard) == (150.0, 158.0, 160.0)
    due.begin_job(100.0, 59.0, 60.0)
    assert (due.soft, due.dump, due.hard) == (159.0, 159.5, 160.0)
    due.begin_job(100.0, None, 2.0)
    assert (due.soft, due.dump, due.hard) == (NEVER, 101.0, 102.0)
    due.begin_job(100.0, 70.0, 60.0)
    assert (due.soft, due.dump, due.hard) == (170.0, 158.0, 160.0)
    due.begin_job(100.0, 5.0, NEVER)
    assert (due.soft, due.dump, due.hard) == (105.0, NEVER, NEVER)


def test_a_new_limit_that_is_over_already_leaves_a_second_for_the_stacks() -> None:
    due = Deadlines()
    due.begin_job(100.0, 5.0, 10.0)
    due.spare(150.0)
    assert (due.soft, due.dump, due.hard) == (105.0, 150.0, 151.0)
    due.begin_job(100.0, 5.0, 100.0)
    due.spare(150.0)
    assert (due.dump, due.hard) == (198.0, 200.0)


def test_generations_count_up_and_one_that_fails_leaves_the_last_good_recipe() -> None:
    good, bad = Spec("a:b"), Spec("c:d")
    generations = Generations(good)
    assert generations.begin(None) == 1
    generations.tell(1, {"n": 1}, spawns=False)
    assert generations.promote() == {"n": 1}
    assert generations.begin(bad) == 2
    assert generations.spec(2) is bad
    generations.drop(2)
    assert (generations.current, generations.incoming) == (1, 0)
    assert generations.begin(None) == 3
    assert generations.spec(3) is good
    generations.tell(2, {}, spawns=False)
    generations.tell(3, {"n": 3}, spawns=False)
    assert generations.promote() == {"n": 3}


def test_a_template_that_comes_again_with_another_table_is_told_apart() -> None:
    generations = Generations(Spec("a:b"))
    generations.begin(None)
    assert not generations.tell(1, {"n": 1}, spawns=False)
    generations.promote()
    assert not generations.tell(1, {"n": 1}, spawns=False)
    assert generations.tell(1, {"n": 2}, spawns=False)
    assert not generations.tell(7, {"n": 2}, spawns=False)


def test_the_journal_keeps_the_last_entries_as_plain_values_too() -> None:
    journal = Journal(size=2)
    for number in range(3):
        journal.add(Entry(float(number), Happened.READY, 1, number, 2, 2, ""))
    assert [entry.slot for entry in journal] == [1, 2] and len(journal) == 2
    plain = next(iter(journal)).plain()
    assert (plain["happened"], plain["at"], plain["ready"]) == ("child ready", 1.0, 2)


def test_health_tells_each_reason_once_and_none_while_closing(clock: FakeClock) -> None:
    told: list[str | None] = []
    health = Health(clock.now, told.append)
    health.tell(closing=False)
    health.child_died("no database", ready=False)
    health.tell(closing=False), health.tell(closing=False)
    health.template_died("killed", ready=False)
    health.tell(closing=False)
    assert told == ["a start failed, the last: no database", "a start failed, the last: killed"]
    health.tell(closing=True)
    health.renew()
    health.tell(closing=False)
    assert told[2:] == [None]


def test_a_generation_that_fails_after_its_trial_gives_the_one_before_back() -> None:
    good, bad = Spec("a:b"), Spec("c:d")
    generations = Generations(good)
    generations.begin(None)
    generations.tell(1, {"n": 1}, spawns=True)
    generations.promote()
    generations.begin(bad)
    generations.tell(2, {"n": 2}, spawns=False)
    generations.promote()
    assert (generations.current, generations.previous) == (2, 1)
    assert generations.spawning() == [1]
    assert generations.roll_back() == {"n": 1}
    assert (generations.current, generations.previous) == (1, 0)
    assert generations.begin(None) == 3
    assert generations.spec(3) is good
    generations.promote()
    generations.no_way_back()
    assert (generations.current, generations.previous) == (3, 0)
    assert not generations.spawns(1)


def test_a_roll_back_leaves_the_generation_on_trial_alone() -> None:
    first, second, third = Spec("a:b"), Spec("c:d"), Spec("e:f")
    generations = Generations(first)
    generations.begin(None)
    generations.promote()
    generations.begin(second)
    generations.promote()
    generations.begin(third)
    generations.roll_back()
    assert (generations.current, generations.incoming) == (1, 3)
    generations.promote()
    assert (generations.current, generations.previous) == (3, 1)
    assert generations.begin(None) == 4
    assert generations.spec(4) is third


def armed(*found: BaseException) -> Interrupt:
    """An interrupt whose look finds these, one after the other."""
    interrupt, left = Interrupt(), list(found)
    interrupt.look = lambda job_id: left.pop(0) if left and job_id == 1 else None
    interrupt.arm(1)
    return interrupt


def test_the_interrupt_raises_what_it_finds_for_the_running_job_only() -> None:
    interrupt = armed(SoftTimeLimitExceeded())
    frame = sys._getframe()
    interrupt.disarm()
    interrupt.on_signal(0, frame)
    interrupt.arm(2)
    interrupt.on_signal(0, frame)
    interrupt.arm(1)
    with pytest.raises(SoftTimeLimitExceeded):
        interrupt.on_signal(0, frame)
    interrupt.on_signal(0, frame)


def test_the_interrupt_waits_for_the_end_of_what_holds_it() -> None:
    interrupt = armed(SoftTimeLimitExceeded())
    inside: list[str] = []
    with pytest.raises(SoftTimeLimitExceeded), interrupt:
        with interrupt:
            interrupt.on_signal(0, sys._getframe())
        inside.append("the inner end is not the end")
    assert inside


def test_the_interrupt_does_not_replace_another_error() -> None:
    interrupt = armed(SoftTimeLimitExceeded())
    with pytest.raises(ValueError, match="first"), interrupt:
        interrupt.on_signal(0, None)
        raise ValueError("first")


def test_only_the_first_thread_holds_an_interrupt_up() -> None:
    interrupt = armed(SoftTimeLimitExceeded())
    other = threading.Thread(target=interrupt.__enter__)
    other.start()
    other.join()
    with pytest.raises(SoftTimeLimitExceeded):
        interrupt.on_signal(0, None)


def test_a_job_that_is_over_is_not_interrupted() -> None:
    interrupt = armed(SoftTimeLimitExceeded())

    def loop_of_the_child() -> None:
        interrupt.on_signal(0, sys._getframe())

    interrupt.not_in(loop_of_the_child)
    loop_of_the_child()
    interrupt.disarm()
    interrupt.on_signal(0, None)
    interrupt.arm(1)
    with pytest.raises(SoftTimeLimitExceeded):
        interrupt.on_signal(0, None)


def test_deaths_say_what_happened() -> None:
    code, crash = Death.of(7, 3 << 8), Death.of(7, signal.SIGSEGV)
    assert code == Death(7, 3, None, Cause.EXIT, "exit code 3")
    assert crash == Death(7, None, "SIGSEGV", Cause.SIGNAL, "killed by signal 11 (SIGSEGV)")
    assert (Death.of(7, None).cause, Death.of(7, None).words) == (Cause.UNKNOWN, "its exit status is unknown")
    early = Death.of(7, 3 << 8, ready=False)
    assert early == Death(7, 3, None, Cause.START, "exit code 3 before it was ready")
    limit = Death.of(7, signal.SIGKILL, Reason(Cause.HARD_LIMIT, "hard time limit (5s)", 5.0), ready=False)
    assert limit == Death(7, None, "SIGKILL", Cause.HARD_LIMIT, "hard time limit (5s)", 5.0)
    assert [death.status for death in (code, crash, limit)] == [
        "exitcode 3",
        "signal 11 (SIGSEGV)",
        "signal 9 (SIGKILL)",
    ]
    assert Death.of(7, None).status == "status unknown"
    realtime = Death.of(7, signal.SIGRTMIN + 3)
    assert realtime.status == f"signal {signal.SIGRTMIN + 3} (SIGRTMIN+3)"


def test_the_last_deaths_are_remembered_and_all_are_counted() -> None:
    deaths = Deaths()
    for pid in range(KEPT + 5):
        deaths.record(float(pid), Death.of(pid, 1 << 8), "")
    deaths.record(99.0, Death.of(99, None), "proj.add[1]")
    assert deaths.counts == {Cause.EXIT: KEPT + 5, Cause.UNKNOWN: 1}
    assert len(deaths.last) == KEPT
    assert (deaths.last[-1].when, deaths.last[-1].title) == (99.0, "proj.add[1]")


def test_an_old_kernel_and_another_system_are_refused_in_words() -> None:
    check_kernel("Linux", "5.4.0-foo")
    check_kernel("Linux", "6.18.44")
    with pytest.raises(PlatformError, match=r"Linux >= 5\.4, and this kernel is 5\.3\.18"):
        check_kernel("Linux", "5.3.18")
    with pytest.raises(PlatformError, match="this is Darwin"):
        check_kernel("Darwin", "23.0")
    with pytest.raises(PlatformError, match="unknown"):
        check_kernel("Linux", "unknown")
