"""Descriptors: many for the supervisor, and for tasks what the daemon was started with."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from tests.system.conftest import Make

APP = """
import resource
from workerd import App

app = App("proj")

@app.task(name="limit")
def limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
"""


def soft_limit(pid: int) -> str:
    found = re.search(r"^Max open files\s+(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_supervisor_has_all_that_it_may_and_tasks_what_was_given(make: Make, short_dir: Path) -> None:
    (short_dir / "limitapp.py").write_text(APP)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        daemon = make(app="limitapp").start(size="1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with daemon.client() as app:
        assert app.send_task("limit").get(timeout=30) == 300
        assert soft_limit(daemon.pid) == str(before[1])
        # What a restart executes finds it as the first start did.
        assert daemon.run("restart").returncode == 0
        daemon.wait_ready()
        assert app.send_task("limit").get(timeout=30) == 300
        assert soft_limit(daemon.pid) == str(before[1])
    assert daemon.stop() == 0
