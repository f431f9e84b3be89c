"""A cluster with an unmodified Celery 5.6 in it: a worker beside a daemon of ours, and a client.

What changed on the wire since: the ids of ``hello`` have times there, and a chord is counted with fewer keys.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.daemon.install import install
from tests.interop.canvases import ENDS, FORMS, Spread, nothing, our_kit
from tests.interop.stock import ROOT, stock_worker
from tests.support.brokers import empty_broker
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from workerd import App

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

REQUIREMENTS = ("celery[redis]>=5.6,<5.7", "kombu>=5.6,<5.7")
APP = "tests.interop.canvas_app"
BROKEN = "chain to a group in a header"
"""A worker of 5.6 that begins such a group writes its size over that of the header: also among themselves."""
HOST = os.uname().nodename
OURS, SECOND, THEIRS = f"main@{HOST}", f"second@{HOST}", f"celery@{HOST}"


Process = subprocess.Popen[bytes]


class Mixed:
    """A node of each kind, and clients of both."""

    def __init__(self, python: str, daemon: Workerd, worker: Process, log: Path) -> None:
        self.python, self.daemon, self.worker, self._log = python, daemon, worker, log
        self.broker, self.backend = str(daemon.broker), str(daemon.backend)

    def celery(self, *words: str) -> Any:
        """What a verb of Celery 5.6 prints, as it is told with --json."""
        urls = ["--broker", self.broker, "--result-backend", self.backend]
        argv = [self.python, "-m", "celery", "-q", *urls, *words, "--json"]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def logged(self, text: str) -> bool:
        return text in self._log.read_text(errors="replace")


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    python = str(install("celery-5.6", REQUIREMENTS))
    broker, backend = empty_broker(request)
    home = tmp_path_factory.mktemp("c")
    (home / "d").mkdir()
    options: dict[str, Any] = {"broker": broker, "backend": backend, "app": APP}
    with ExitStack() as stack:
        daemon = stack.enter_context(running(home / "d", **options))
        with App("c", broker=broker) as app:
            revoke(app, OURS, "ours")
        theirs = stock_worker(home, broker, backend, mingle=True, app=APP, python=python)
        yield Mixed(python, daemon, stack.enter_context(theirs), home / "celery.log")


@pytest.fixture
def app(mixed: Mixed) -> Iterator[App]:
    with App("proj", broker=mixed.broker, backend=mixed.backend, task_default_queue="ours") as app:
        for name in ("add", "total"):
            app.task(name=f"proj.{name}", typing=False)(nothing)
        yield app


def revoke(app: App, node: str, task_id: str) -> None:
    [answer] = app.control.revoke(task_id, destination=[node], reply=True, timeout=20.0)
    assert "flagged as revoked" in answer[node]["ok"]


def test_it_is_that_version(mixed: Mixed) -> None:
    argv = [mixed.python, "-m", "celery", "--version"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert told.startswith("5.6.")


def test_what_we_begin_ends_alike_wherever_its_steps_run(app: App) -> None:
    queues = itertools.cycle(("ours", "theirs"))
    kit = our_kit(*(Spread(app.tasks[f"proj.{name}"], queues) for name in ("add", "total")))
    ends = {form: end for form, end in ENDS.items() if form != BROKEN}
    begun = {form: FORMS[form](kit).apply_async() for form in ends}
    assert {form: result.get(timeout=60) for form, result in begun.items()} == ends


def test_what_a_client_of_5_6_begins_ends_alike(mixed: Mixed) -> None:
    argv = [mixed.python, "-m", "tests.interop.celery_begins", mixed.broker, mixed.backend, BROKEN]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


def test_both_answer_clients_of_both(mixed: Mixed, app: App) -> None:
    assert mixed.celery("inspect", "ping").keys() == {OURS, THEIRS}
    theirs = mixed.celery("inspect", "stats")
    assert theirs[OURS].keys() >= theirs[THEIRS].keys() - {"autoscaler"}
    assert mixed.celery("control", "pool_grow", "1", "-d", OURS) == [{OURS: {"ok": "pool will grow"}}]
    assert mixed.daemon.status()["pools"][0]["wanted"] == 3
    assert app.control.inspect(timeout=2.0).ping().keys() == {OURS, THEIRS}


def test_nodes_that_start_learn_what_the_others_have_revoked_and_are_missed(mixed: Mixed, app: App) -> None:
    assert "ours" in mixed.celery("inspect", "revoked", "-d", THEIRS)[THEIRS]
    revoke(app, THEIRS, "theirs")
    home = mixed.daemon.home.parent / "e"
    home.mkdir()
    urls = {"broker": mixed.broker, "backend": mixed.backend}
    with running(home, name="second", app=APP, size="1", **urls) as second:
        eventually(lambda: second.logged(f"mingle: sync with 2 nodes: {THEIRS}, {OURS}"))
        known = app.control.inspect([SECOND], timeout=20.0).revoked()
        assert {"ours", "theirs"} <= {*known[SECOND]}
        second.kill(signal.SIGKILL)
        second.wait()
    eventually(lambda: mixed.logged(f"missed heartbeat from {SECOND}"), within=60)
    eventually(lambda: mixed.daemon.logged(f"missed heartbeat from {SECOND}"), within=60)
    mixed.worker.kill()
    eventually(lambda: mixed.daemon.logged(f"missed heartbeat from {THEIRS}"), within=60)
