"""Children that prepare themselves, that cannot start, and that import what starts threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]

APP = """
import os, threading
from tests.support.apps.ledger import app, note
from workerd.signals import worker_process_init, worker_process_shutdown

{imported}

@app.task(name="threads")
def threads():
    return sorted(thread.name for thread in threading.enumerate())

@worker_process_init.connect
def prepare(sender, **words):
    note("init", 1)
    {init}

@worker_process_shutdown.connect
def leave(sender, pid, exitcode, **words):
    note("shutdown", 1 if (pid, exitcode) == (os.getpid(), 0) else 0)
"""

FAILS = "if not os.path.exists(os.environ['LEDGER'] + '.db'): raise ConnectionError('no database')"


def write(home: Path, *, imported: str = "", init: str = "") -> str:
    (home / "startapp.py").write_text(APP.format(imported=imported, init=init or "return"))
    return "startapp"


def test_a_child_prepares_itself_before_its_first_task_and_cleans_up_after_its_last(
    make: Make, short_dir: Path
) -> None:
    thread = "threading.Thread(target=threading.Event().wait, name='pusher', daemon=True).start()"
    daemon = make(app=write(short_dir, init=thread)).start(size="2")
    with daemon.client() as app:
        assert app.send_task("threads").get(timeout=30) == ["MainThread", "pusher"]
    eventually(lambda: daemon.ran("init")[1] == 2)
    assert not daemon.logged("started Python threads")
    assert daemon.stop() == 0
    assert daemon.ran("shutdown") == {1: 2}


def test_a_first_child_that_cannot_prepare_itself_is_tried_again_and_told_until_it_can(
    make: Make, short_dir: Path
) -> None:
    daemon = make(app=write(short_dir, init=FAILS)).start(size="2", ready=False)
    eventually(lambda: daemon.ran("init")[1] == 3, within=60)  # at 0, 1 and 3 seconds: one at a time
    status = daemon.status()
    assert (status["state"], status["ready"]) == ("booting", False)
    shown = daemon.run("status").stdout
    assert "DEGRADED: " in shown
    assert "starts in a row failed, the last: it could not start: ConnectionError: no database\n" in shown
    assert daemon.logged(r"Receiver .* raised ConnectionError")
    with daemon.client() as app:
        result = app.send_task("ledger.run", (7,))
        Path(f"{daemon.ledger}.db").touch()
        assert result.get(timeout=30) == 7
    assert daemon.status()["pools"][0]["degraded"] is None
    assert daemon.stop() == 0


def test_new_code_may_end_a_boot_that_cannot_end(make: Make, short_dir: Path) -> None:
    daemon = make(app=write(short_dir, init="os._exit(7)")).start(size="1", ready=False)
    eventually(lambda: daemon.logged(r"degraded: a start failed, the last: exit code 7 before it was ready"))
    (short_dir / "startapp.py").write_text("def :\n")
    broken = daemon.run("reload")
    assert broken.returncode == 1
    assert "SyntaxError: invalid syntax" in broken.stderr
    assert broken.stderr.endswith("; nothing serves yet\n")
    told = (
        "DEGRADED: nothing runs until the next reload: generation 2 failed: app module 'startapp' cannot be"
    )
    assert told in daemon.degraded()
    write(short_dir)
    mended = daemon.run("reload")
    assert (mended.returncode, mended.stderr) == (0, "")
    assert mended.stdout.startswith("reloaded: generation 3 serves, with ")
    daemon.wait_ready()
    assert not daemon.degraded()
    assert daemon.stop() == 0


@pytest.mark.parametrize("verb", ["stop", "--now"])
def test_a_boot_that_cannot_end_can_be_stopped(make: Make, short_dir: Path, verb: str) -> None:
    daemon = make(app=write(short_dir, init="os._exit(7)")).start(size="1", ready=False)
    eventually(lambda: daemon.logged(r"degraded"))
    assert daemon.run("stop", *(["--now"] if verb == "--now" else [])).returncode == 0
    assert daemon.wait() == 0
    assert not daemon.logged("healthy again")


def test_threads_that_the_import_starts_are_named_and_live_in_every_child(
    make: Make, short_dir: Path
) -> None:
    thread = "threading.Thread(target=threading.Event().wait, name='pusher', daemon=True).start()"
    daemon = make(app=write(short_dir, imported=thread)).start(size="1")
    assert daemon.logged(r"started Python threads while it was imported \(pusher\)")
    assert daemon.logged(r"Start threads in worker_process_init instead")
    with daemon.client() as app:
        assert app.send_task("threads").get(timeout=30) == ["MainThread", "pusher"]
    assert daemon.run("reload", "--wait").returncode == 0
    assert daemon.stop() == 0
    assert daemon.ran("init") == daemon.ran("shutdown") == {1: 2}
