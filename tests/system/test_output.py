"""What tasks print and log, in the log of a daemon."""

from __future__ import annotations

import re

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
