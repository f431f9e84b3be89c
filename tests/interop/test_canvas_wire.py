"""Each workflow leaves as Celery's own client would send it: the same messages, field by field."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.interop.canvases import FORMS, messages, nothing, our_kit
from tests.interop.stock import ROOT
from tests.support.brokers import RedisServer
from workerd import App

THEIRS: dict[str, Any] = {}


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


@pytest.fixture
def wanted(redis_url: str) -> dict[str, Any]:
    """What Celery's client sends, by workflow; it is asked once."""
    if not THEIRS:
        argv = [sys.executable, "-m", "tests.interop.canvases", redis_url]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()[-4000:]
        THEIRS.update(json.loads(done.stdout))
    return THEIRS


@pytest.mark.parametrize("form", FORMS)
def test_it_leaves_as_celery_sends_it(
    form: str, wanted: dict[str, Any], redis_url: str, client: redis.Redis
) -> None:
    with App("proj", broker=redis_url, backend=redis_url) as app:
        add, total = (app.task(name=f"proj.{name}")(nothing) for name in ("add", "total"))
        FORMS[form](our_kit(add, total)).apply_async()
        assert messages(client) == wanted[form]
