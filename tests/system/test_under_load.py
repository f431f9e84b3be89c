"""5,000 tasks while the pool is scaled and reloaded and the daemon stopped and started again."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.eventually import eventually
from tests.system.conftest import Start

TASKS = 5_000

BROKEN = "raise RuntimeError('this code does not import')\n"
GOOD = "from tests.support.apps.ledger import *  # noqa: F403\nfrom tests.support.apps.ledger import app\n"


def test_every_task_runs_and_none_twice(start: Start, broker: dict[str, str], short_dir: Path) -> None:
    home = short_dir / "d"
    home.mkdir()
    module = home / "loadapp.py"
    module.write_text(GOOD)
    daemon = start(app="loadapp", size="1", **broker)
    with daemon.client() as app:
        results = [app.send_task("ledger.run", (n, 0.002), ignore_result=True) for n in range(TASKS)]
    assert len(results) == TASKS

    assert daemon.run("scale", "6").returncode == 0
    eventually(lambda: daemon.status()["pools"][0]["alive"] == 6)
    reloaded = daemon.run("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    module.write_text(BROKEN)
    broken = daemon.run("reload")
    assert broken.returncode == 1
    assert "this code does not import" in broken.stderr
    module.write_text(GOOD)
    os.utime(module)
    assert daemon.run("scale", "2").returncode == 0

    # In the middle: some have run, some have not.
    eventually(lambda: len(daemon.ran()) > TASKS // 10)
    assert daemon.run("stop").returncode == 0
    assert daemon.wait() == 0
    before = daemon.ran()
    assert len(before) < TASKS, "the machine was too fast: the stop came after the last task"
    assert set(before.values()) == {1}

    daemon.start(size="2")
    eventually(lambda: len(daemon.ran()) == TASKS, within=90)
    assert daemon.stop() == 0
    assert set(daemon.ran("start").values()) == {1}
    assert set(daemon.ran()) == set(range(TASKS))
