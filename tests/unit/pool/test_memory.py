"""Reading memory: of processes, and of cgroups from a tree of files as the kernel shows it."""

from __future__ import annotations

import itertools
import mmap
import os
import signal
from pathlib import Path

from tests.support.cgroups import FakeCgroups
from tests.support.clock import FakeClock
from tests.support.descriptors import none_left
from workerd_pool.cgroup import Cgroup, Level
from workerd_pool.headroom import SLICE, Headroom, MemoryBudget, Pressure, Reading, Tally
from workerd_pool.memory import Meter, proportional, resident, size_text
from workerd_pool.witness import FRESH, OomWitness

MB = 1 << 20
NOBODY = 2**22 + 1  # above any pid


def test_a_process_s_own_memory_grows_with_what_it_takes() -> None:
    before = resident(os.getpid()), proportional(os.getpid()) or 0
    with mmap.mmap(-1, 20 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as taken:
        for page in range(0, len(taken), mmap.PAGESIZE):
            taken[page] = 1
        after = resident(os.getpid()), proportional(os.getpid()) or 0
    assert after[0] - before[0] > 15 * MB
    assert after[1] - before[1] > 15 * MB


def test_shared_memory_is_nobody_s_own() -> None:
    before = resident(os.getpid())
    with mmap.mmap(-1, 20 * MB) as shared:
        shared[:] = b"x" * len(shared)
        assert resident(os.getpid()) - before < 10 * MB


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert resident(NOBODY) == 0
    assert proportional(NOBODY) is None
    assert Meter().read(NOBODY, 1, 0.0) == 0


def test_a_process_that_cannot_be_read_for_want_of_a_descriptor_is_no_error() -> None:
    with none_left():
        assert resident(os.getpid()) == 0
        assert proportional(os.getpid()) is None


def test_sizes_read_well() -> None:
    sizes = (0, 512, 2048, 612 * MB, 1536 * MB, 2048 * MB, 12 * 1024 * MB)
    assert [size_text(size) for size in sizes] == [
        "0 bytes",
        "512 bytes",
        "2 kB",
        "612 MB",
        "1.5 GB",
        "2 GB",
        "12 GB",
    ]


class Readings:
    """What the two readings say, and how often the dear one was asked for."""

    def __init__(self) -> None:
        self.low, self.high, self.asked = 0, 0, 0

    def cheap(self, pid: int) -> int:
        return self.high

    def exact(self, pid: int) -> int:
        self.asked += 1
        return self.low


def test_the_dear_reading_is_taken_near_the_limit_only() -> None:
    proc = Readings()
    meter = Meter(proc.cheap, proc.exact)
    proc.high, proc.low = 90, 40
    assert (meter.read(1, 100, 0.0), proc.asked) == (90, 0)
    proc.high = 110
    assert (meter.read(1, 100, 1.0), proc.asked) == (40, 1)
    # What is shared stays shared for a while: the cheap reading less that much.
    proc.high, proc.low = 130, 60
    assert (meter.read(1, 100, 2.0), proc.asked) == (60, 1)
    # Over the limit even so: look again.
    proc.high, proc.low = 180, 105
    assert (meter.read(1, 100, 3.0), proc.asked) == (105, 2)
    proc.high, proc.low = 110, 50
    assert (meter.read(1, 100, 4.0), proc.asked) == (35, 2)
    assert (meter.read(1, 100, 8.5), proc.asked) == (50, 3)


def test_without_cgroup_v2_there_is_no_limit_and_the_machine_s_count_is_taken(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 1\noom_kill 7\n")
    own = tmp_path / "own"
    own.write_text("4:memory:/a\n0::/\n")
    group = Cgroup.own(own, tmp_path, vmstat)
    assert list(group.limited()) == []
    assert (group.ooms().kills, group.ooms().full) == (7, {})


def test_every_group_above_us_may_hold_the_limit(tmp_path: Path) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("", limit=None)
    tree.group("slice", limit=900 * MB, used=500 * MB, inactive_file=100 * MB)
    tree.group("slice/unit", limit=None, used=400 * MB)
    group = tree.own("slice/unit")
    assert list(group.limited()) == [Level("/slice", 900 * MB, 400 * MB)]
    tree.group("slice/unit", limit=300 * MB, used=200 * MB)
    assert [level.path for level in group.limited()] == ["/slice/unit", "/slice"]
    assert group.limit_of("/slice/unit") == 300 * MB
    assert group.limit_of("/elsewhere") is None


def test_in_a_container_the_root_that_we_see_is_our_group(tmp_path: Path) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("", limit=100 * MB, used=MB)
    assert [level.path for level in tree.own("docker/abc").limited()] == ["/"]


def test_a_kill_by_the_kernel_is_told_once_with_the_group_that_was_full(
    tmp_path: Path, clock: FakeClock
) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("slice", limit=900 * MB)
    tree.group("slice/unit", limit=None, kills=3)
    witness = OomWitness(tree.own("slice/unit"), clock.now)
    assert witness.explain(signal.SIGKILL) == ""
    tree.group("slice", limit=900 * MB, full=1)
    tree.group("slice/unit", limit=None, kills=4)
    assert [witness.explain(status) for status in (None, 0, 1 << 8, signal.SIGSEGV)] == [""] * 4
    assert witness.explain(signal.SIGKILL) == (
        "out of memory: killed by the kernel, cgroup /slice was at its limit of 900 MB"
    )
    assert witness.explain(signal.SIGKILL) == ""


def test_two_kills_at_once_explain_two_deaths(tmp_path: Path, clock: FakeClock) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("unit", limit=None)
    witness = OomWitness(tree.own("unit"), clock.now)
    tree.group("unit", limit=None, kills=2)
    said = "out of memory: killed by the kernel, for the machine or a cgroup that is not seen here"
    assert [witness.explain(signal.SIGKILL) for _ in range(3)] == [said, said, ""]


def test_an_old_kill_explains_no_death_of_today(tmp_path: Path, clock: FakeClock) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("unit", limit=None)
    witness = OomWitness(tree.own("unit"), clock.now)
    tree.group("unit", limit=None, kills=1)  # a sub-process of a task: no child of ours died
    witness.look()
    clock.advance(FRESH + 1.0)
    assert witness.explain(signal.SIGKILL) == ""


def test_the_machine_s_count_makes_a_guess_and_says_so(tmp_path: Path, clock: FakeClock) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 0\n")
    witness = OomWitness(Cgroup(vmstat=vmstat), clock.now)
    vmstat.write_text("oom_kill 1\n")
    assert "probably killed by the kernel" in witness.explain(signal.SIGKILL)


def test_fetching_stops_first_then_growth_and_both_begin_again_well_below() -> None:
    headroom = Headroom()
    seen = [
        headroom.judge(Reading(used, 100, "test")).name
        for used in (50, 89, 90, 94, 95, 91, 90, 89, 81, 80, 79, 89, 96, 85, 70)
    ]
    assert seen == [
        *("NONE", "NONE", "FETCHING", "FETCHING", "GROWTH", "GROWTH", "GROWTH", "FETCHING", "FETCHING"),
        *("FETCHING", "NONE", "NONE", "GROWTH", "FETCHING", "NONE"),
    ]
    headroom.judge(Reading(99, 100, "test"))
    assert headroom.judge(None) is Pressure.GROWTH


def test_the_sum_of_many_is_exact_only_near_the_budget() -> None:
    proc = Readings()
    tally = Tally(lambda: Meter(proc.cheap, proc.exact), lambda: 0.0)
    proc.high, proc.low = 100, 40
    assert (tally.read([1, 2, 3], 301, 0.0), proc.asked) == (300, 0)
    assert (tally.read([1, 2, 3], 300, 0.0), proc.asked) == (120, 3)
    proc.high = 110
    assert (tally.read([1, 2, 3], 300, 1.0), proc.asked) == (150, 3)
    proc.low = 70
    assert (tally.read([1, 2, 3], 300, 6.0), proc.asked) == (210, 6)
    assert tally.read([1], 300, 6.0) == 110


def test_exact_readings_of_many_take_several_looks_and_nothing_is_said_before_the_end() -> None:
    proc, times = Readings(), itertools.count()
    tally = Tally(lambda: Meter(proc.cheap, proc.exact), lambda: next(times) * SLICE / 2.5)
    proc.high, proc.low = 100, 90
    said = [tally.read(range(5), 450, now) for now in range(3)]
    assert said == [None, None, 450]
    assert proc.asked == 5
    # One that is new is the first to be read, then those whose reading is oldest.
    proc.low = 10
    assert tally.read([*range(5), 9], 500, 8.0) == 2 * 10 + 4 * 90


def test_the_tightest_of_all_budgets_counts(tmp_path: Path) -> None:
    tree = FakeCgroups(tmp_path)
    tree.group("slice", limit=1000 * MB, used=500 * MB)
    tree.group("slice/unit", limit=200 * MB, used=150 * MB, inactive_file=MB)
    group = tree.own("slice/unit")
    assert MemoryBudget(None, group).read([], 0.0) == Reading(149 * MB, 180 * MB, "cgroup /slice/unit")
    assert str(MemoryBudget(None, group).read([], 0.0)) == (
        "149 MB of 180 MB are in use (cgroup /slice/unit)"
    )
    assert MemoryBudget(0, group).read([os.getpid()], 0.0) is None
    tree.group("slice/unit", limit=None)
    tree.group("slice", limit=None)
    assert MemoryBudget(None, group).read([], 0.0) is None


def test_a_budget_that_is_named_is_measured_by_process() -> None:
    reading = MemoryBudget(1 << 40).read([os.getpid(), NOBODY], 0.0)
    assert reading is not None
    assert MB < reading.used <= resident(os.getpid()) + MB
    assert (reading.budget, reading.whose) == (1 << 40, "memory_budget")
