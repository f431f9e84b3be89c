"""An unmodified Celery worker as a subprocess, and its client in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
STOCK_APP = "tests.interop.stock_app"


@contextmanager
def stock_client(broker: str, backend: str) -> Iterator[Any]:
    """A Celery app that is used as a client only."""
    app = Celery("client", broker=broker, backend=backend, set_as_current=False)
    try:
        yield app
    finally:
        app.close()


@contextmanager
def stock_worker(
    home: Path,
    broker: str,
    backend: str,
    *,
    mingle: bool = False,
    app: str = STOCK_APP,
    python: str = sys.executable,
    **extra: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker with one slot, ready when the block begins and gone when it ends.

    With ``mingle`` it takes part in the cluster as Celery's workers do: it mingles, gossips and beats.
    Its version is the one that ``python`` has; its log is ``celery.log`` in ``home``.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home / "celery.log"
    environ = {**os.environ, "STOCK_BROKER": broker, "STOCK_BACKEND": backend, **extra}
    argv = [python, "-m", "celery", "-A", app, "worker", "--pool", "solo"]
    argv += [] if mingle else ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    argv += ["-l", "INFO"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        eventually(lambda: _ready(process, log), within=60.0)
        yield process
    finally:
        # Nothing of it is looked at afterwards, and its orderly end can take ten seconds.
        process.kill()
        process.wait(20)


def _ready(process: subprocess.Popen[bytes], log: Path) -> bool:
    text = log.read_text(errors="replace")
    if process.poll() is not None:
        raise RuntimeError(f"the Celery worker ended at start:\n{text[-4000:]}")
    return " ready." in text
