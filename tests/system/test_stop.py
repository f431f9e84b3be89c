"""A stop: its countdown, its one deadline, and what becomes of each task that it meets."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]


def up(daemon: Workerd, *words: str, grace: str = "1s") -> Workerd:
    daemon.start(*words, ready=False, size="1", env={"WORKERD_DRAIN__GRACE": grace})
    eventually(lambda: daemon.logged(r"ready\."), within=60)
    return daemon


def hold(daemon: Workerd, task: str = "ledger.hold", number: int = 1) -> str:
    """A task that is running when this returns; its id."""
    with daemon.client() as app:
        sent = app.send_task(task, (number, str(daemon.home / "gate")))
        eventually(lambda: daemon.ran("start")[number] == 1)
    return str(sent.id)


@pytest.fixture
def frozen(request: pytest.FixtureRequest, make: Make) -> Iterator[Callable[[], Workerd]]:
    """``frozen()``: freeze what the parameter names of a daemon that runs a task, and return the daemon."""
    kind = request.param
    options: dict[str, Any] = {}
    if kind != "embedded":
        options = dict.fromkeys(("broker", "backend"), request.getfixturevalue("redis_url"))
    if kind in ("rabbitmq", "results"):
        options["broker"] = request.getfixturevalue("fresh_rabbit_url")
    daemon = up(make(**options), "--drain-timeout", "1s")
    hold(daemon)
    with ExitStack() as stack:

        def freeze() -> Workerd:
            if kind == "embedded":
                found = next(each for each in daemon.descendants() if "valkey" in each.name())
                found.suspend()
                return daemon
            server: Any = request.getfixturevalue("rabbit_server" if kind == "rabbitmq" else "redis_server")
            server.pause()
            stack.callback(server.resume)
            return daemon

        yield freeze


@pytest.mark.parametrize(
    ("frozen", "ends"),
    [("embedded", False), ("redis", False), ("rabbitmq", False), ("rabbitmq", True), ("results", True)],
    indirect=["frozen"],
)
def test_whatever_is_frozen_a_stop_takes_two_seconds_more_than_its_settings_say(
    frozen: Callable[[], Workerd], ends: bool
) -> None:
    daemon = frozen()
    if ends:
        (daemon.home / "gate").touch()
        eventually(lambda: daemon.ran()[1] == 1)
    daemon.kill(signal.SIGTERM)
    # 1 s and 1 s of grace, 2 s more, and the rest for a machine that has other things to do.  When each part
    # had a patience of its own it took 11 s and more.
    code = daemon.wait(within=9)
    # RabbitMQ does not confirm an acknowledgement, so there it is not known that none has arrived.
    assert code in (0, 75) if ends else code == 75


def test_each_unfinished_task_has_one_line_with_its_fate(make: Make) -> None:
    daemon = up(make(), "--drain-timeout", "1s", grace="4s")
    assert daemon.run("scale", "4").returncode == 0
    ids = {name: hold(daemon, f"ledger.{name}", number) for number, name in enumerate(("hold", "deaf"))}
    with daemon.client() as app:
        ids["run"] = str(app.send_task("ledger.run", (6,)).id)
        eventually(lambda: daemon.ran()[6] == 1)
        ids["early"] = str(app.send_task("ledger.early", (7, 60.0)).id)
        ids["tidy"] = str(app.send_task("ledger.tidy", (8, 60.0)).id)
        ids["later"] = str(app.send_task("ledger.run", (9,), countdown=40).id)
        eventually(lambda: {7, 8} <= set(daemon.ran("start")))
        eventually(lambda: daemon.status()["tasks"]["scheduled"] == 1)
    daemon.kill(signal.SIGTERM)
    assert daemon.wait() == 75

    lines = [line for line in daemon.text().splitlines() if re.search(r"\] Task ", line)]
    told = {name: [line for line in lines if task_id in line] for name, task_id in ids.items()}
    assert {name: len(found) for name, found in told.items()} == dict.fromkeys(ids, 1)
    fates = {name: found[0] for name, found in told.items()}
    assert fates["hold"].endswith("given back to celery: interrupted by the stop")
    assert "given back to celery: its child was stopped" in fates["deaf"]
    assert "succeeded" in fates["run"]
    assert "raised unexpected: SoftTimeLimitExceeded" in fates["early"], "nobody would run it again"
    assert "succeeded" in fates["tidy"], "it has cleaned up in its grace period"
    assert fates["later"].endswith("given back to celery: the daemon is stopping")


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"], indirect=True)
def test_what_has_not_started_is_back_at_once_at_the_head_of_its_queue(
    make: Make, broker: dict[str, str]
) -> None:
    daemon = up(make(**broker))
    with daemon.client() as app:
        for number in range(100, 130):
            app.send_task("ledger.run", (number,))  # short ones: some more are fetched than there are slots
        eventually(lambda: len(daemon.ran()) == 30)
        hold(daemon)
        for number in range(2, 8):
            app.send_task("ledger.run", (number,))
        eventually(lambda: daemon.status()["tasks"]["reserved"] >= 2)
    daemon.kill(signal.SIGTERM)
    eventually(lambda: len(re.findall("given back to celery: the daemon is stopping", daemon.text())) >= 2)
    assert daemon.ran()[1] == 0, "the task that runs has not been waited for"
    (daemon.home / "gate").touch()
    assert daemon.wait() == 0

    up(daemon)
    eventually(lambda: set(range(2, 8)) <= set(daemon.ran()))
    begun = [int(line.split()[1]) for line in daemon.ledger.read_text().splitlines() if "start" in line]
    assert [number for number in begun if 2 <= number < 8] == list(range(2, 8))
    assert daemon.stop() == 0


def test_stop_counts_down_in_one_line_of_a_terminal(make: Make) -> None:
    daemon = up(make(), "--drain-timeout", "4s")
    task_id = hold(daemon)
    daemon.kill(signal.SIGCONT)  # only to remember who belongs to it
    ours, theirs = pty.openpty()
    stop = subprocess.Popen(
        daemon.argv("stop"), env=daemon.env, cwd=daemon.home, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = bytearray()

    def over() -> bool:
        try:
            shown.extend(os.read(ours, 4096))
        except OSError:  # EIO: nobody has the other end any more
            return True
        return False

    eventually(over, within=30)
    os.close(ours)
    assert stop.wait(30) == daemon.wait() == 75
    first, *lines, end = shown.decode().split("\r\x1b[2K")
    assert first.startswith(f"stopping pid {daemon.pid}")
    title = rf"waiting for ledger\.hold\[{task_id}\]"
    left = [
        int(found[1]) for line in lines if (found := re.search(rf"draining: {title} \((\d) s left\)$", line))
    ]
    assert left == sorted(left, reverse=True)
    assert max(left) >= 3 > min(left)
    assert "\n" not in "".join(lines)
    assert end.endswith("stopped with exit code 75: what had not finished was given back to the broker\r\n")


def test_stop_without_a_terminal_says_so_in_plain_lines(make: Make) -> None:
    daemon = up(make(), "--drain-timeout", "2s", grace="3s")
    task_id = hold(daemon, "ledger.deaf")
    done = daemon.run("stop")
    assert done.returncode == daemon.wait() == 75
    lines = done.stdout.splitlines()
    assert lines[0] == f"stopping pid {daemon.pid}"
    assert lines[1] == f"draining: waiting for ledger.deaf[{task_id}] (2 s left)"
    states = Counter(line.split(":")[0] for line in lines[1:-1])
    assert states["draining"] == states["stopping"] == 1
    assert "\x1b" not in done.stdout
