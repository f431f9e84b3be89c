"""Jobs through real children: outcomes, bodies, progress, counters."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest

from tests.process.pool.conftest import Rig, both
from tests.support.eventually import eventually
from workerd_pool import PoolBusyError, PoolClosedError
from workerd_pool.pace import MAX_LARGE


def test_a_job_comes_back_with_its_outcome(rig: Rig) -> None:
    rig.boot(1)
    header, body = rig.run("echo", b"abc")
    assert body == b"abc"
    assert header["state"] == "SUCCESS"
    assert rig.notes.up == [(1, {"version": 1, "padding": ""})]
    assert rig.notes.started[1] == header["pid"]


@both
def test_big_bodies_go_both_ways(rig: Rig) -> None:
    rig.boot(1)
    body = os.urandom(16 * 1024 * 1024)
    header, answer = rig.run("digest", body)
    assert header["digest"] == hashlib.sha256(body).hexdigest()
    assert answer == body[::-1]


def test_a_body_of_every_size_around_the_inline_limit_arrives_whole(rig: Rig) -> None:
    rig.boot(1)
    for size in (0, 1, 65_000, 65_535, 65_536, 65_537, 200_000):
        body = os.urandom(size)
        assert rig.run("echo", body)[1] == body


def test_a_big_table_and_a_big_header_arrive(rig: Rig) -> None:
    rig.boot(1, padding=400_000)
    assert len(rig.notes.up[0][1]["padding"]) == 400_000
    assert rig.run("echo", b"x", padding="y" * 300_000)[1] == b"x"


@both
def test_progress_comes_in_order_and_before_the_outcome(rig: Rig) -> None:
    rig.boot(1)
    header, _ = rig.run("steps", b"z" * 70_000, count=50)
    assert header == {"state": "SUCCESS"}
    assert [told["step"] for _, told, _ in rig.notes.progress] == list(range(50))
    assert {len(body) for _, _, body in rig.notes.progress} == {70_000}


@both
def test_a_runner_that_raises_is_an_internal_error_and_the_child_lives_on(rig: Rig) -> None:
    rig.boot(1)
    pids = rig.pids()
    header, _ = rig.run("raising")
    assert header["state"] == "INTERNAL"
    assert header["error"] == "ValueError('not my day')"
    assert "in raising" in header["traceback"]
    assert rig.run("exiting")[0]["error"] == "SystemExit(4)"
    assert rig.run("unpackable")[0]["state"] == "INTERNAL"
    assert rig.run("echo")[0]["state"] == "SUCCESS"
    assert rig.pids() == pids


def test_a_pool_without_room_says_so(rig: Rig) -> None:
    with pytest.raises(PoolBusyError):
        rig.submit("echo")
    rig.boot(2)
    rig.submit("sleep", seconds=30), rig.submit("sleep", seconds=30)
    assert (rig.pool.free, rig.pool.busy) == (0, 2)
    with pytest.raises(PoolBusyError):
        rig.submit("echo")


def test_one_id_cannot_be_in_the_pool_twice(rig: Rig) -> None:
    rig.boot(2)
    job = rig.job("sleep", seconds=0.2)
    rig.pool.submit(job)
    with pytest.raises(ValueError, match="in the pool already"):
        rig.pool.submit(job)
    rig.until(lambda: job.id in rig.notes.done)


def test_a_closed_pool_takes_nothing(rig: Rig) -> None:
    rig.boot(1)
    rig.pool.close()
    with pytest.raises(PoolClosedError):
        rig.submit("echo")
    with pytest.raises(PoolClosedError):
        rig.pool.reload()


@both
def test_many_short_jobs_all_come_back_once_and_several_wait_at_a_child(rig: Rig) -> None:
    rig.boot(2)
    depths: set[int] = set()
    bodies: dict[int, bytes] = {}

    def feed() -> None:
        while rig.pool.free and len(bodies) < 5000:
            body = os.urandom(10)
            bodies[rig.submit("echo", body)] = body
            depths.add(rig.pool.info()["depth"])

    rig.notes.when_free = feed
    feed()
    rig.until(lambda: len(rig.notes.done) == 5000, within=60)
    assert {job_id: body for job_id, (_, body) in rig.notes.done.items()} == bodies
    assert max(depths) > 1
    assert len(rig.notes.started) == 5000
    assert not rig.notes.lost and not rig.notes.returned
    assert sum(child.served for child in rig.pool.children()) == 5000


def test_frames_that_do_not_fit_a_socket_are_kept_and_sent_later(rig: Rig) -> None:
    rig.boot(1)
    rig.quicken()
    body = os.urandom(60_000)
    jobs = [rig.submit("echo", body) for _ in range(rig.pool.free)]
    rig.until(lambda: all(job in rig.notes.done for job in jobs))
    assert all(rig.notes.done[job][1] == body for job in jobs)


def test_a_job_is_not_stuck_behind_a_long_one(rig: Rig) -> None:
    rig.boot(2)
    rig.quicken()
    # The pool believes in short jobs: both children get some behind the long ones.
    long = rig.submit("sleep", seconds=30)
    short = [rig.submit("echo") for _ in range(rig.pool.free)]
    rig.until(lambda: all(job in rig.notes.done for job in short))
    assert long not in rig.notes.done


def test_children_tell_what_they_do(rig: Rig) -> None:
    rig.boot(2)
    job_id = rig.start_job("sleep", seconds=30)
    busy, idle = sorted(rig.pool.children(), key=lambda child: child.job_id is None)
    assert (busy.state, busy.job_id, busy.title, busy.generation) == ("BUSY", job_id, "proj.sleep[1]", 1)
    assert (idle.state, idle.job_id, idle.served) == ("IDLE", None, 0)
    assert {busy.slot, idle.slot} == {1, 2}
    assert 0 <= busy.age < 20
    json.dumps(rig.pool.info())
    rig.pool.ping()
    rig.until(lambda: any(child.seen for child in rig.pool._reconciler.crew))


def test_a_listener_that_raises_does_not_stop_the_pool(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.boot(1)

    def fail() -> None:
        raise RuntimeError("host is broken")

    rig.notes.when_free = fail
    assert rig.run("echo", b"1")[1] == b"1"
    assert rig.run("echo", b"2")[1] == b"2"
    assert "host is broken" in caplog.text


def test_of_jobs_that_travel_by_memfd_only_a_few_wait_at_a_child(rig: Rig) -> None:
    rig.boot(1)
    eventually(lambda: rig.run("echo") and rig.pool.info()["depth"] > MAX_LARGE, every=0.0)
    pid, body = min(rig.pids()), os.urandom(100_000)
    os.kill(pid, signal.SIGSTOP)
    jobs = [rig.submit("echo", body) for _ in range(rig.pool.free)]
    child = next(iter(rig.pool._reconciler.crew))
    assert len(child.jobs) == MAX_LARGE < len(jobs)
    os.kill(pid, signal.SIGCONT)
    rig.until(lambda: all(job in rig.notes.done for job in jobs))
