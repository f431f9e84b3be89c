"""5,000 tasks while the pool is scaled and reloaded and the daemon stopped and started again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.system.conftest import Start

TASKS = 5_000
HELD = {0, *range(TASKS - 10, TASKS)}
"""Those that wait for a gate: the first one is in the way of everything, and more than there are slots at the
end let the stop come in the middle however fast the machine is."""

BROKEN = "raise RuntimeError('this code does not import')\n"
GOOD = "from tests.support.apps.ledger import *  # noqa: F403\nfrom tests.support.apps.ledger import app\n"


@pytest.mark.parametrize("broker", ["redis", pytest.param("rabbitmq", marks=pytest.mark.long)], indirect=True)
def test_every_task_runs_and_none_twice(start: Start, broker: dict[str, str], short_dir: Path) -> None:
    home = short_dir / "d"
    home.mkdir()
    module = home / "loadapp.py"
    module.write_text(GOOD)
    daemon = start(app="loadapp", size="1", **broker)
    gate = home / "gate"
    with daemon.client() as app:
        for n in range(TASKS):
            held = n in HELD
            args = (n, str(gate) if held else 0.006)
            app.send_task("ledger.hold" if held else "ledger.run", args, ignore_result=True)

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

    eventually(lambda: len(daemon.ran()) > TASKS // 10)
    with subprocess.Popen(daemon.argv("stop"), env=daemon.env, cwd=home) as stop:
        eventually(lambda: daemon.status()["state"] == "draining")
        gate.touch()
        assert stop.wait(60) == 0
    assert daemon.wait() == 0
    before = daemon.ran()
    assert 0 < len(before) < TASKS
    assert set(before.values()) == {1}

    daemon.start(size="2")
    eventually(lambda: len(daemon.ran()) == TASKS, within=90)
    assert daemon.stop() == 0
    assert set(daemon.ran("start").values()) == {1}
    assert set(daemon.ran()) == set(range(TASKS))
