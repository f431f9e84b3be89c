"""The log of a real daemon: as JSON in a file that is moved away, and for the journal."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import RedisServer
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from tests.system.conftest import Make


@pytest.fixture(scope="module")
def daemon(redis_server: RedisServer) -> Iterator[Workerd]:
    """Logs JSON to a file, with arguments."""
    with redis_server.client() as client:
        client.flushall()
    with tempfile.TemporaryDirectory(prefix="wd-") as path:
        home = Path(path)
        words = ("--log-format", "json", "--logfile", "log.json")
        with running(home, broker=redis_server.url, words=words, env={"WORKERD_LOG__ARGS": "1"}) as one:
            yield one


def lines(daemon: Workerd, name: str = "log.json") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (daemon.home / name).read_text().splitlines()]


def of(daemon: Workerd, task_id: str, event: str) -> dict[str, Any]:
    """The one line that tells so of this call; AssertionError while there is none."""
    found = [one for one in lines(daemon) if one.get("task_id") == task_id and one["event"] == event]
    assert len(found) == 1
    return found[0]


def test_each_end_of_a_run_is_one_line_with_all_that_is_known(daemon: Workerd) -> None:
    with daemon.client() as client:
        sent = client.send_task("ledger.add", (2, 3)).id
        failed = client.send_task("ledger.add", (2, "x")).id
        line = eventually(lambda: of(daemon, sent, "task.succeeded"))
        broken = eventually(lambda: of(daemon, failed, "task.failed"))
    child = next(one for one in daemon.children() if one["pid"] == line["pid"])
    assert line["runtime"] >= 0
    assert (line["slot"], line["generation"]) == (child["slot"], 1)
    known = {
        key: line[key] for key in ("level", "logger", "task", "queue", "pool", "attempt", "result", "args")
    }
    assert known == {
        "level": "info",
        "logger": "workerd.task",
        "task": "ledger.add",
        "queue": "celery",
        "pool": "default",
        "attempt": 1,
        "result": "5",
        "args": "(2, 3)",
    }
    assert broken["level"] == "error"
    assert broken["error"].startswith("TypeError(")
    assert "Traceback" in broken["traceback"]
    assert daemon.text() == ""  # nothing goes to stderr beside


def test_a_file_that_is_moved_away_is_followed_and_usr1_opens_it_anew(daemon: Workerd) -> None:
    file = daemon.home / "log.json"
    file.rename(daemon.home / "log.1")
    daemon.kill(signal.SIGUSR1)
    eventually(lambda: file.exists() and any("Stacks:" in one["message"] for one in lines(daemon)))
    file.rename(daemon.home / "log.2")

    def told_in_the_new_one() -> bool:
        with daemon.client() as client:
            client.send_task("ledger.add", (1, 1))
        return file.exists() and bool(lines(daemon))

    eventually(told_in_the_new_one, every=0.2)
    assert lines(daemon, "log.1")
    assert lines(daemon, "log.2")


def test_a_file_that_cannot_be_written_ends_the_start_in_one_line(daemon: Workerd) -> None:
    found = daemon.run("-A", daemon.app, "start", "--name", "other", "--logfile", "missing/log")
    assert found.returncode == 78
    assert found.stderr.strip().count("\n") == 0
    assert f"the log file {daemon.home}/missing/log cannot be opened: No such file" in found.stderr


def test_each_line_for_the_journal_carries_its_priority(make: Make) -> None:
    daemon = make()
    daemon.log.touch()
    found = daemon.log.stat()
    daemon.start(env={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, size="1")
    with daemon.client() as client:
        client.send_task("ledger.add", (1, 1))
        client.send_task("ledger.add", (1, "x"))
        eventually(lambda: daemon.logged("raised unexpected") and daemon.logged("succeeded in"))
    assert daemon.stop() == 0
    text = daemon.text().splitlines()
    assert [line for line in text if not line.startswith("<")] == []
    assert {line[:3] for line in text if "Traceback" in line or "TypeError" in line} == {"<3>"}
    assert next(line for line in text if "succeeded in" in line).startswith("<6>[")
