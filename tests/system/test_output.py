"""What tasks print and log, in the log of a daemon."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import threading
from collections.abc import Callable
from typing import IO

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Start

NOISY = "tests.support.apps.noisy"
CHILD = r"child \d of main:default"


def test_what_tasks_print_and_log_is_in_the_log_with_their_name_and_id(start: Start) -> None:
    daemon = start(app=NOISY)
    with daemon.client() as app:
        out = app.send_task("noisy.prints", ("hello from stdout",))
        err = app.send_task("noisy.prints", ("hello from stderr", "stderr"))
        shell = app.send_task("noisy.runs", ("printf 'no newline'; printf '\\377 bytes\\n' >&2; exit 3",))
        log = app.send_task("noisy.logs", ("WARNING", "mind the gap"))
        error = app.send_task("noisy.logs", ("ERROR", "it broke"))
        assert shell.get(timeout=30) == 3
        for result in (out, err, log, error):
            assert result.get(timeout=30) is None
    for pattern in (
        rf"INFO/{CHILD}\] noisy.prints\[{out.id}\]: hello from stdout\n",
        rf"WARNING/{CHILD}\] noisy.prints\[{err.id}\]: hello from stderr\n",
        rf"INFO/{CHILD}\] noisy.runs\[{shell.id}\]: no newline\n",
        rf"WARNING/{CHILD}\] noisy.runs\[{shell.id}\]: \\xff bytes\n",
        rf"WARNING/{CHILD}\] noisy.logs\[{log.id}\]: mind the gap\n",
        rf"ERROR/{CHILD}\] noisy.logs\[{error.id}\]: it broke\nTraceback .*\n(  .*\n)+ValueError: deep\n",
        r"INFO/template of main:default\] template of main:default \(pid \d+, .*\): noisy is imported\n",
    ):
        assert daemon.logged(pattern), pattern


def test_a_task_that_prints_ten_megabytes_loses_no_line_and_holds_nothing_up(start: Start) -> None:
    daemon = start(app=NOISY)
    with daemon.client() as app:
        flood = app.send_task("noisy.floods", (100_000,))
        others = [app.send_task("noisy.prints", (f"other {number}",)) for number in range(20)]
        for other in others:
            other.get(timeout=30)
        assert daemon.status()["ready"]
        assert flood.get(timeout=60) == 100_000
    lines = rf"noisy.floods\[{flood.id}\]: (\d{{99}})\n"
    eventually(lambda: len(re.findall(lines, daemon.text())) == 100_000)
    assert [int(found) for found in re.findall(lines, daemon.text())] == list(range(1000)) * 100
    assert all(daemon.logged(rf"other {number}\n") for number in range(20))


def test_a_log_that_nobody_reads_stops_the_tasks_that_print_and_nothing_else(
    make: Callable[..., Workerd],
) -> None:
    daemon = make(app=NOISY)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    argv = daemon.argv("-A", NOISY, "start", "--size", "2")
    daemon.process = subprocess.Popen(argv, env=daemon.env, cwd=daemon.home, stdout=writer, stderr=writer)
    os.close(writer)
    daemon.wait_ready()
    with daemon.client() as app:
        flood = app.send_task("noisy.floods", (10_000,))
        # The other child goes on, and so does the daemon.
        for number in range(5):
            assert app.send_task("noisy.runs", ("true",)).get(timeout=30) == 0, number
        assert daemon.status()["ready"]
        assert flood.state == "PENDING"
        with daemon.log.open("wb") as log:
            copying = threading.Thread(target=copy, args=(reader, log))
            copying.start()
            assert flood.get(timeout=60) == 10_000
            assert daemon.stop() == 0
            copying.join(30)
    os.close(reader)
    lines = re.findall(rf"noisy.floods\[{flood.id}\]: (\d{{99}})\n", daemon.text())
    assert [int(line) for line in lines] == list(range(1000)) * 10


def copy(reader: int, into: IO[bytes]) -> None:
    """Until everybody has closed the other end."""
    while data := os.read(reader, 65536):
        into.write(data)
