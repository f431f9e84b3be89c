"""What a probe is told, of a daemon that answers, of one that is slow, and of one that does not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.eventually import eventually
from workerd.errors import UnavailableError
from workerd.worker.http import asking
from workerd.worker.http.asking import Asking
from workerd.worker.http.pages import Pages


class Daemon:
    """Answers while ``turns`` is set."""

    def __init__(self) -> None:
        self.turns = threading.Event()
        self.turns.set()
        self.health: dict[str, Any] = {"live": True, "ready": True, "reasons": []}
        self.error = ""
        self.asked = 0

    def ask(self) -> Mapping[str, Any]:
        self.asked += 1
        self.turns.wait(10)
        if self.error:
            raise UnavailableError(self.error)
        return dict(self.health)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setattr(asking, "PAUSE", 0.0)
    return Daemon()


@pytest.fixture
def pages(daemon: Daemon) -> Pages:
    return Pages(Asking(daemon.ask), Asking(dict), CollectorRegistry())


def test_a_daemon_that_runs_tasks_is_live_and_ready(pages: Pages) -> None:
    assert pages.page("/livez")[::2] == (200, b"live\n")
    assert pages.page("/readyz?verbose=1")[::2] == (200, b"ready\n")


def test_what_is_wrong_is_told_with_its_reason(pages: Pages, daemon: Daemon) -> None:
    daemon.health |= {"ready": False, "reasons": ["no link to the broker: refused", "pool a has no child"]}
    assert pages.page("/livez").status == 200
    told = b"not ready: no link to the broker: refused; pool a has no child\n"
    assert pages.page("/readyz")[::2] == (503, told)


def test_other_pages_are_not_there(pages: Pages) -> None:
    assert pages.page("/admin").status == 404
    assert pages.page("/").status == 200


def test_a_short_silence_is_none_and_a_long_one_is(
    pages: Pages, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pages.page("/livez").status == 200
    monkeypatch.setattr(asking, "WAIT", 0.0)
    daemon.turns.clear()
    waits = Asking(daemon.ask)
    waits._answer = {"live": True, "ready": True, "reasons": []}
    assert waits.answer(0.01)[0] is not None
    monkeypatch.setattr(asking, "GRACE", 0.0)
    assert waits.answer(0.01) == (None, "the daemon has not answered for 0 s")
    asked = daemon.asked
    waits.answer(0.01), waits.answer(0.01)
    assert daemon.asked == asked  # one question at a time

    daemon.turns.set()
    monkeypatch.setattr(asking, "GRACE", 8.0)
    eventually(lambda: waits.answer(0.5)[0] is not None)


def test_a_daemon_that_is_gone_is_told_by_its_error(daemon: Daemon) -> None:
    daemon.error = "nothing listens"
    assert Asking(daemon.ask).answer() == (None, "nothing listens")
