"""A retry has the id of the run before it.  Both may be in flight when a link is cut, and both must run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos.bed import QUEUE, Bed
from tests.interop.stock import stock_client
from tests.support.eventually import eventually
from tests.support.proxy import Proxy


@contextmanager
def client(bed: Bed, whose: str) -> Iterator[Any]:
    if whose == "ours":
        with bed.client() as app:
            yield app
    else:
        with stock_client(bed.server.url, bed.results.url) as app:
            yield app


@pytest.mark.parametrize(
    ("whose", "retry"),
    [
        ("ours", "runs"),
        ("celery's", "waits"),
        pytest.param("ours", "waits", marks=pytest.mark.long),
        pytest.param("celery's", "runs", marks=pytest.mark.long),
    ],
)
def test_a_retry_that_comes_before_its_first_run_is_settled_runs_too(
    bed: Bed, whose: str, retry: str
) -> None:
    """The first run cannot be settled before its result is stored, and that the test holds up."""
    with Proxy(bed.results.port) as results:
        node = bed.add(size="1", backend=results.url(bed.results.url))
        daemon, gate = node.daemon, node.daemon.home / "gate"
        with client(bed, whose) as app:
            sent = app.send_task("ledger.again", (1, str(gate)), queue=QUEUE)
            eventually(lambda: daemon.ran("start")[1] == 1)
            if retry == "waits":  # behind this one
                app.send_task("ledger.hold", (2, f"{gate}.2"), queue=QUEUE, ignore_result=True)
            results.freeze()
            (daemon.home / "gate.0").touch()
            eventually(lambda: node.status["tasks"]["storing"] == 1)
            eventually(lambda: daemon.ran("start") == ({1: 2} if retry == "runs" else {1: 1, 2: 1}))

            node.proxy.cut()
            eventually(lambda: node.up and node.restarts == 1)
            (daemon.home / "gate.1").touch()
            (daemon.home / "gate.2").touch()
            results.resume()
            assert sent.get(timeout=60) == "second run"
        eventually(lambda: node.at_rest)
        assert daemon.ran("start")[1] == 2
        assert daemon.ran()[1] == 1
        assert node.status["tasks"]["retried"] == 1
        bed.leaves_nothing()
