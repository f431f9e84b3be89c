"""What children and templates print, line by line, with the job that it belongs to."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.process.pool.conftest import Rig
from workerd_pool.lines import CONTINUED, LONGEST


def said(rig: Rig, job_id: int | None) -> list[str]:
    """What this job has printed; None: what was printed outside of jobs."""
    return [line.text for line in rig.notes.lines if (line.job.id if line.job else None) == job_id]


def test_lines_come_with_their_job_their_stream_and_their_pid(rig: Rig) -> None:
    rig.boot(1)
    rig.run("says", b"hello\nworld")
    rig.run("says", b"oh no", stream="stderr")
    (pid,) = rig.pids()
    assert [(line.job and line.job.id, line.stream, line.pid, line.text) for line in rig.notes.lines] == [
        (1, "stdout", pid, "hello"),
        (1, "stdout", pid, "world"),
        (2, "stderr", pid, "oh no"),
    ]
    assert rig.notes.lines[0].source == f"child 1 of t (pid {pid}, generation 1)"


def test_the_lines_of_a_job_are_told_before_its_outcome(rig: Rig) -> None:
    rig.boot(1)
    told_at_done: dict[int, int] = {}
    note = rig.notes.on_done

    def on_done(job: object, header: dict[str, object], body: bytes) -> None:
        note(job, header, body)  # type: ignore[arg-type]
        told_at_done[job.id] = len(rig.notes.lines)  # type: ignore[attr-defined]

    rig.notes.on_done = on_done  # type: ignore[method-assign]
    for number in range(1, 30):
        rig.run("prints", b"from C\n")
        assert told_at_done[number] == number


def test_a_line_without_an_end_is_ended_with_its_job(rig: Rig) -> None:
    rig.boot(1)
    rig.run("says", b"no newline", end="")
    rig.run("prints", b"nor here")
    assert [(line.text, line.job and line.job.id) for line in rig.notes.lines] == [
        ("no newline", 1),
        ("nor here", 2),
    ]


def test_a_line_that_comes_in_pieces_is_joined(rig: Rig) -> None:
    rig.boot(1)
    rig.run("prints", b"piece ", times=5, pause=0.01)
    assert said(rig, 1) == ["piece piece piece piece piece "]


def test_long_lines_come_in_parts_and_strange_bytes_escaped(rig: Rig) -> None:
    rig.boot(1)
    rig.run("prints", b"x" * (LONGEST + 10) + b"\n\xff\xfe\n")
    assert said(rig, 1) == ["x" * LONGEST + CONTINUED, "x" * 10, "\\xff\\xfe"]


def test_ten_megabytes_arrive_whole_and_nobody_waits_for_them(rig: Rig) -> None:
    rig.boot(2)
    block = b"".join(b"%078d\n" % number for number in range(4_000))
    job = rig.start_job("prints", block, times=33)
    while job not in rig.notes.done:
        rig.run("echo", b"meanwhile")
    assert len(rig.notes.done) > 10
    rig.until(lambda: len(rig.notes.lines) == 33 * 4_000)
    assert said(rig, job) == [f"{number:078d}" for number in range(4_000)] * 33


def test_short_jobs_that_wait_at_one_child_keep_their_lines_apart(rig: Rig) -> None:
    rig.boot(1)
    rig.quicken()
    jobs: dict[int, str] = {}

    def feed() -> None:
        while rig.pool.free and len(jobs) < 2000:
            # Some are silent, so that silence between two that print is seen as well.
            job = rig.job("prints" if len(jobs) % 3 else "echo", fd=1 + len(jobs) % 2)
            jobs[job.id] = job.header["do"]
            job.body = b"I am %d" % job.id
            rig.pool.submit(job)

    rig.notes.when_free = feed
    feed()
    rig.until(lambda: all(job in rig.notes.done for job in jobs) and len(jobs) == 2000, within=60)
    for job_id, do in jobs.items():
        assert said(rig, job_id) == ([f"I am {job_id}"] if do == "prints" else []), job_id
    assert said(rig, None) == []


def test_what_a_template_and_a_starting_child_print_carries_their_names(rig: Rig) -> None:
    rig.boot(1, import_says="importing", hello="starting")
    rig.run("says", b"at work")
    (template,) = rig.pool.info()["templates"]
    (pid,) = rig.pids()
    rig.until(lambda: len(rig.notes.lines) >= 3)
    assert {(line.source, line.text) for line in rig.notes.lines if line.job is None} == {
        (f"template of t (pid {template['pid']}, generation 1)", "importing"),
        (f"child 1 of t (pid {pid}, generation 1)", "starting"),
    }
    assert said(rig, 1) == ["at work"]


def test_the_stack_of_a_crash_is_told_before_its_job_is_lost(rig: Rig) -> None:
    rig.boot(1)
    job = rig.submit("segfault")
    rig.until(lambda: job in rig.notes.lost)
    assert rig.notes.lost[job].signal == "SIGSEGV"
    assert said(rig, job)[0] == "Fatal Python error: Segmentation fault"
    assert any("in segfault" in text for text in said(rig, job))


def test_what_a_killed_child_had_printed_is_told(rig: Rig) -> None:
    rig.boot(1)
    job = rig.start_job("prints", b"last words", times=1000, pause=0.05)
    (pid,) = rig.pids()
    os.kill(pid, signal.SIGKILL)
    rig.until(lambda: job in rig.notes.lost)
    assert all(set(text.split("last words")) == {""} for text in said(rig, job))


def test_a_process_that_a_task_leaves_behind_is_heard_and_holds_nothing_up(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    gate = tmp_path / "gate"
    header, _ = rig.run("leaves_speaker", gate=str(gate))
    (child,) = rig.pids()
    rig.pool.reload()
    rig.until(lambda: rig.pool.generation == 2 and child not in rig.pids())
    assert psutil.pid_exists(header["pid"])
    gate.touch()
    rig.until(lambda: "from behind" in said(rig, None))
    line = next(line for line in rig.notes.lines if line.text == "from behind")
    assert (line.pid, line.source) == (child, f"child 1 of t (pid {child}, generation 1)")


def test_a_process_left_behind_does_not_keep_the_pool_from_ending(rig: Rig, tmp_path: Path) -> None:
    rig.boot(1)
    gate = tmp_path / "gate"
    header, _ = rig.run("leaves_speaker", gate=str(gate))
    rig.pool.close()
    rig.until(lambda: rig.notes.empty)
    assert rig.loop.descriptors == 0
    gate.touch()
    rig.until(lambda: rig.pool.reaper.reap() or not psutil.pid_exists(header["pid"]))


def test_output_that_is_held_is_kept_and_makes_its_job_wait(rig: Rig) -> None:
    rig.boot(2)
    rig.pool.hold_output(True)
    block = b"".join(b"%07d\n" % number for number in range(8_000))
    job = rig.start_job("prints", block, times=4)
    assert rig.run("echo", b"1")[1] == b"1"
    # It has more to say than its pipe can hold.
    assert job not in rig.notes.done and rig.notes.lines == []
    rig.pool.hold_output(False)
    rig.until(lambda: job in rig.notes.done)
    rig.until(lambda: len(rig.notes.lines) == 4 * 8_000)
    assert said(rig, job) == [f"{number:07d}" for number in range(8_000)] * 4


def test_a_child_with_much_to_tell_gets_no_job_until_it_is_told(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.hold_output(True)
    while rig.pool.free and rig.notes.free < 100:
        rig.run("prints", b"x\n" * 30_000)
    assert rig.pool.free == 0 and rig.pool.alive == 1
    rig.pool.hold_output(False)
    rig.until(lambda: rig.pool.free)
    assert rig.run("echo", b"1")[1] == b"1"
    rig.until(lambda: len(rig.notes.lines) % 30_000 == 0)
    assert len(rig.notes.lines) >= 5 * 30_000


def test_a_silent_job_costs_no_read_and_no_write(rig: Rig) -> None:
    rig.boot(1)
    rig.run("echo")
    (pid,) = rig.pids()
    before = psutil.Process(pid).io_counters()  # frames go by other calls, which do not count here
    for _ in range(100):
        rig.run("echo")
    after = psutil.Process(pid).io_counters()
    assert (after.read_count, after.write_count) == (before.read_count, before.write_count)


def test_the_loop_is_not_held_up_by_a_flood_of_short_lines(rig: Rig) -> None:
    rig.boot(2)
    job = rig.start_job("prints", b"y\n" * 30_000, times=5)
    rig.until(lambda: rig.notes.lines)
    before = len(rig.notes.lines)
    rig.run("echo", b"1")
    # Many more are waiting; between two turns of the loop only some of them were told.
    assert len(rig.notes.lines) - before < 30_000
    rig.until(lambda: job in rig.notes.done)
    rig.until(lambda: len(rig.notes.lines) == 150_000)


def test_log_records_keep_their_level_and_name_in_jobs_and_in_what_they_fork(rig: Rig) -> None:
    rig.boot(1, records=True)
    rig.run("logs", level=30, text="two\nlines", fork=True)
    records = [(line.job and line.job.id, line.level, line.logger, line.text) for line in rig.notes.lines]
    assert records == [
        (None, 20, "proj", "loading"),
        (1, 30, "proj.tasks", "two\nlines"),
        (1, 30, "proj.tasks", "from a fork"),
    ]
