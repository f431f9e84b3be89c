"""The autoscaler's mind: how many slots, and why."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workerd.worker.pool.scaling_policy import Decision, Peak, Policy, Sight, Use

QUIET = Sight(now=0.0, wanted=1, busy=0, waiting=0, backlog=0, task_time=None, use=0.0, long=0)


def full(slots: int, **facts: object) -> Sight:
    """A pool whose slots are all taken."""
    return replace(QUIET, wanted=slots, busy=slots, use=float(slots), **facts)  # type: ignore[arg-type]


def once(sight: Sight, bounds: tuple[int, int] = (1, 100)) -> Decision:
    return Policy(max_wait=1.0, window=30.0).decide(sight, bounds)


class Followed:
    """A policy whose targets come true at once; a second passes after each."""

    def __init__(self, bounds: tuple[int, int] = (1, 8), wanted: int = 1) -> None:
        self.policy, self.bounds, self.wanted, self.now = Policy(1.0, 30.0), bounds, wanted, 0.0

    def second(self, sight: Sight) -> Decision:
        decision = self.policy.decide(replace(sight, now=self.now, wanted=self.wanted), self.bounds)
        self.now, self.wanted = self.now + 1.0, decision.target
        return decision

    def seconds(self, sight: Sight, count: int) -> list[int]:
        return [self.second(sight).target for _ in range(count)]


# -- growth


@pytest.mark.parametrize(
    ("waiting", "task_time", "target"),
    [
        (40, 0.05, 2),  # 2 s of work for one slot
        (40, 0.02, 1),  # 0.8 s: within the goal
        (40, 1.0, 40),
        (3, 60.0, 4),  # 180 slots would do it in a second, but there are three tasks and one that runs
        (0, 60.0, 1),
        (1, 1e-4, 1),
    ],
)
def test_it_grows_to_what_brings_the_estimated_wait_down_to_the_goal(
    waiting: int, task_time: float, target: int
) -> None:
    assert once(full(1, backlog=waiting, task_time=task_time)).target == target


def test_what_waits_here_and_what_waits_at_the_broker_count_alike() -> None:
    decision = once(full(2, waiting=10, backlog=30, task_time=0.16))
    assert decision == Decision(7, "est. wait 3.2 s over 1 s with 40 waiting", pytest.approx(3.2))


def test_a_backlog_that_is_not_known_leaves_what_waits_here() -> None:
    assert once(full(1, waiting=10, backlog=None, task_time=0.5)).target == 5


def test_without_a_measured_time_every_task_that_waits_is_worth_a_slot() -> None:
    decision = once(full(2, backlog=3))
    assert decision == Decision(5, "3 waiting, and no task has ended yet", None)


def test_free_slots_are_no_reason_for_more() -> None:
    decision = once(replace(QUIET, wanted=5, busy=2, waiting=3, task_time=60.0))
    assert decision == Decision(5, "est. wait 0.0 s within 1 s with 3 waiting", 0.0)


def test_it_grows_no_further_than_its_upper_end_and_says_so() -> None:
    assert once(full(3, backlog=90, task_time=1.0), (1, 4)).target == 4
    decision = once(full(4, backlog=90, task_time=1.0), (1, 4))
    assert decision == Decision(4, "at its upper end; est. wait 22.5 s over 1 s with 90 waiting", 22.5)


def test_what_is_held_does_not_grow_and_says_why() -> None:
    sight = full(2, backlog=40, task_time=0.2, held="load 7.9 on 2 CPUs")
    reason = "held: load 7.9 on 2 CPUs; est. wait 4.0 s over 1 s with 40 waiting"
    assert once(sight) == Decision(2, reason, 4.0, held=True)
    assert not once(sight, (1, 2)).held, "its upper end holds it, whatever else"
    assert once(replace(sight, backlog=0)) == Decision(2, "2.0 slots in use", 0.0)


# -- shrinking


def test_a_pause_in_a_burst_keeps_its_slots() -> None:
    pool = Followed()
    assert pool.second(full(1, backlog=8, task_time=9.0)).target == 8  # grew at once, and only to its bound
    assert pool.seconds(QUIET, 30) == [8] * 30  # the burst is still inside the window
    assert pool.second(QUIET) == Decision(1, "idle for 30 s", 0.0)
    assert pool.second(QUIET) == Decision(1, "idle", 0.0)


def test_it_shrinks_to_what_was_needed_at_most_within_the_window() -> None:
    pool = Followed((1, 10))
    pool.second(full(1, backlog=9, task_time=9.0))
    pool.seconds(replace(QUIET, busy=2, use=2.0), 30)
    decision = pool.second(replace(QUIET, busy=2, use=2.0))
    # Two slots that are always busy would leave no room for what comes unevenly.
    assert decision == Decision(3, "3 slots were enough for 30 s", 0.0)


@pytest.mark.parametrize(
    ("use", "long", "kept"),
    [
        (0.0, 0, 0),
        (0.001, 0, 1),  # a little, but not idle
        (2.0, 2, 2),  # the same two tasks all the time
        (2.04, 2, 2),  # and so are these, read a moment apart
        (2.5, 2, 3),
        (0.8, 0, 1),
        (1.0, 0, 2),
        (4.0, 1, 5),
    ],
)
def test_use_keeps_slots_with_room_for_what_comes_unevenly_but_not_for_long_tasks(
    use: float, long: int, kept: int
) -> None:
    assert replace(QUIET, use=use, long=long).used == kept


def test_slots_that_are_used_are_kept_though_nothing_waits() -> None:
    assert Followed(wanted=4).seconds(full(4), 100) == [4] * 100


def test_it_never_shrinks_below_what_runs_now() -> None:
    pool = Followed(wanted=6)
    pool.seconds(QUIET, 31)
    assert pool.wanted == 6
    assert pool.second(replace(QUIET, busy=5, use=0.1)).target == 5


def test_nothing_shrinks_before_a_whole_window_was_seen() -> None:
    pool = Followed(wanted=8)
    assert pool.seconds(QUIET, 31) == [8] * 31
    pool.policy.forget()
    assert pool.seconds(QUIET, 31) == [8] * 31
    assert pool.second(QUIET).target == 1


def test_an_old_need_beyond_bounds_that_are_gone_never_makes_it_grow() -> None:
    pool = Followed((1, 2))
    pool.second(full(1, backlog=50, task_time=1.0))
    pool.bounds = (1, 100)
    assert pool.seconds(QUIET, 40) == [2] * 30 + [1] * 10


@pytest.mark.parametrize(("wanted", "bounds", "target"), [(1, (3, 5), 3), (9, (3, 5), 5), (4, (4, 4), 4)])
def test_bounds_hold_at_once_whatever_was_wanted(wanted: int, bounds: tuple[int, int], target: int) -> None:
    assert once(replace(QUIET, wanted=wanted), bounds).target == target


# -- what holds of all

counts = st.integers(0, 500)
times = st.none() | st.floats(1e-4, 1e4)
sizes = st.tuples(st.integers(1, 60), st.integers(0, 60)).map(lambda pair: (pair[0], sum(pair)))


@st.composite
def sights(draw: st.DrawFn) -> Sight:
    wanted = draw(st.integers(1, 120))
    return Sight(
        now=0.0,
        wanted=wanted,
        busy=draw(st.integers(0, wanted)),
        waiting=draw(counts),
        backlog=draw(st.none() | counts),
        task_time=draw(times),
        use=draw(st.floats(0, wanted)),
        long=draw(st.integers(0, wanted)),
        held=draw(st.sampled_from(["", "", "memory budget"])),
    )


@given(sights(), sizes)
def test_the_target_is_within_the_bounds_and_no_higher_than_there_are_tasks_for(
    sight: Sight, bounds: tuple[int, int]
) -> None:
    lower, upper = bounds
    before = min(max(sight.wanted, lower), upper)
    decision = once(sight, bounds)
    assert lower <= decision.target <= upper
    assert decision.target <= max(before, sight.busy + sight.ahead)
    assert decision.reason
    if sight.held:
        assert decision.target <= before


@given(sights(), sizes, counts)
def test_more_backlog_never_means_fewer_slots(sight: Sight, bounds: tuple[int, int], more: int) -> None:
    longer = replace(sight, backlog=(sight.backlog or 0) + more)
    assert once(longer, bounds).target >= once(sight, bounds).target


@given(sights(), sizes)
def test_under_an_input_that_stays_it_moves_in_one_direction_and_comes_to_rest(
    sight: Sight, bounds: tuple[int, int]
) -> None:
    pool = Followed(bounds, min(max(sight.wanted, bounds[0]), bounds[1]))
    targets = [pool.wanted, *pool.seconds(sight, 100)]
    steps = {(after > before) - (after < before) for before, after in pairwise(targets)} - {0}
    assert len(steps) <= 1
    assert len(set(targets[50:])) == 1


@given(
    rate=st.floats(0.1, 50.0),
    task_time=st.floats(0.01, 5.0),
    upper=st.integers(1, 40),
)
def test_work_that_comes_evenly_is_met_without_flapping(rate: float, task_time: float, upper: int) -> None:
    """A fluid model of a pool: ``rate`` tasks come each second, and each slot does one in ``task_time``."""
    pool = Followed((1, upper))
    waiting, targets = 0.0, []
    for _ in range(200):
        done = min(waiting + rate, pool.wanted / task_time)
        waiting += rate - done
        use = done * task_time
        sight = replace(QUIET, busy=min(pool.wanted, round(use)), backlog=int(waiting), task_time=task_time)
        targets.append(pool.second(replace(sight, use=use)).target)
    rests = targets[100:]
    turns = [b - a for a, b in pairwise(rests) if a != b]
    changes = sum(a * b < 0 for a, b in pairwise(turns))
    assert changes <= 100 / 30 * 2
    if rate * task_time < 0.9 * upper:
        assert waiting * task_time / pool.wanted <= 2.0, "the goal, and what came within the last second"


# -- its measures


def test_the_peak_is_of_the_last_window_and_unknown_before_there_was_one() -> None:
    peak = Peak(window=10.0)
    assert [peak.record(at, value) for at, value in ((0, 5), (4, 3), (8, 1))] == [None, None, None]
    assert [peak.record(at, 0) for at in (10.1, 14.1, 18.1)] == [3, 1, 0]
    peak.forget()
    assert peak.record(40.0, 2) is None


def test_use_is_what_was_spent_in_the_last_second() -> None:
    use = Use()
    assert use.slots == 0.0
    use.record(0.0, 100.0, 7)
    assert use.slots == 0.0
    use.record(1.0, 103.5, 7)
    assert use.slots == 3.5
    use.record(3.0, 104.5, 9)
    assert use.slots == 0.5
    use.record(4.0, 60.0, 9)  # a run of 44 s was killed
    assert use.slots == 0.0


def test_the_time_of_a_task_is_the_mean_of_the_last_dozen_while_few_end() -> None:
    use = Use()
    use.record(0.0, 0.0, 0)
    use.record(1.0, 2.0, 1)
    assert use.task_time(5.0) == 5.0
    assert use.task_time(None) is None


def test_where_many_end_their_own_mean_counts_whatever_the_last_ones_took() -> None:
    use = Use()
    use.record(0.0, 0.0, 0)
    use.record(1.0, 8.0, 800)
    assert use.task_time(37.0) == 0.01


def test_slots_that_are_taken_by_long_tasks_are_seen_before_one_has_ended() -> None:
    use = Use()
    times = []
    for second in range(30):
        use.record(float(second), 4.0 * second, 0)
        times.append(use.task_time(0.01))
    assert times[:4] == [0.01, 4.0, 8.0, 12.0]
    assert times[-1] == 40.0, "of the last ten seconds alone"
