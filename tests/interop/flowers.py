"""An unmodified Flower as a subprocess, and its HTTP API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.interop.stock import ROOT
from tests.support.eventually import eventually
from tests.support.ports import free_port

Page = dict[str, Any]


class Flower:
    """What its API answers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: Any) -> Page:
        """What ``path`` shows.  AssertionError with what it says instead."""
        return self._asked(Request(f"{self.url}{path}?{urlencode(query)}"))

    def press(self, path: str, **form: Any) -> Page:
        """The button behind ``path``, as its page presses it.  AssertionError for a refusal."""
        return self._asked(Request(f"{self.url}{path}", urlencode(form).encode()))

    def call(self, path: str, **options: Any) -> Page:
        """One of the calls that send a task.  AssertionError for a refusal."""
        return self._asked(Request(f"{self.url}{path}", json.dumps(options).encode()))

    def _asked(self, request: Request) -> Page:
        try:
            with urlopen(request, timeout=60) as answer:
                found: Page = json.load(answer)
                return found
        except HTTPError as exc:
            with exc:
                raise AssertionError(f"{exc.code}: {exc.read().decode()}") from None
        except URLError as exc:
            raise AssertionError(f"no answer: {exc}") from exc


@contextmanager
def flower(home: Path, broker: str, backend: str) -> Iterator[Flower]:
    """A Flower that serves when the block begins and is gone when it ends."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "flower.log"
    argv = [sys.executable, "-m", "celery", "-A", "tests.interop.flower_app"]
    argv += ["--broker", broker, "--result-backend", backend, "flower"]
    argv += ["--address=127.0.0.1", f"--port={port}"]
    environ = {**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    shown = Flower(f"http://127.0.0.1:{port}")

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"Flower ended at start:\n{log.read_text(errors='replace')[-4000:]}")
        shown.get("/api/workers")
        return True

    try:
        eventually(ready, within=60.0, every=0.1)
        yield shown
    finally:
        process.kill()
        process.wait(20)
        print("---- log of Flower", log.read_text(errors="replace")[-8000:], sep="\n")
