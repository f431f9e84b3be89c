"""How a child's runner comes to its app, and the table that tells the supervisor of its tasks."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from workerd import App
from workerd.app.running.runner import TABLE, AppRunner, load
from workerd_pool import LoadError


def test_the_table_tells_what_the_supervisor_needs(app: App) -> None:
    app.task(name="t", time_limit=30, acks_late=False, rate_limit="10/m")(lambda: None)
    row = AppRunner(app).table()["tasks"]["t"]
    assert set(row) == {*TABLE, "app_time_limit", "app_soft_time_limit"}
    assert (row["time_limit"], row["acks_late"], row["rate_limit"]) == (30, False, "10/m")
    assert (row["acks_on_failure"], row["ignore_result"], row["max_retries"]) == (True, False, 3)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row)) == row


def test_the_settings_limits_stand_beside_a_tasks_own(app: App) -> None:
    app.conf.update(task_time_limit=9, task_soft_time_limit=8)
    app.task(name="own", time_limit=30)(lambda: 1)
    row = AppRunner(app).table()["tasks"]["own"]
    assert (row["time_limit"], row["soft_time_limit"]) == (30, None)
    assert (row["app_time_limit"], row["app_soft_time_limit"]) == (9, 8)


def test_load_imports_the_app_and_takes_the_daemons_word_for_servers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loaded_proj.py").write_text("from workerd import App\napp = App('p', broker='redis://x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    level = logging.getLogger().level
    arg = {"app": "loaded_proj:app", "broker": ["memory://"], "backend": "", "hostname": "main@here"}
    try:
        runner = load(msgspec.msgpack.encode(arg))
    finally:
        logging.getLogger().setLevel(level)
    assert runner.app.broker.urls("broker_write_url") == ("memory://",)
    assert not runner.app.backend.enabled
    assert runner.app.hostname == "main@here"


def test_load_tells_a_missing_app_from_a_broken_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_proj.py").write_text("import os\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError, match="no module 'absent_proj'") as missing:
        load(msgspec.msgpack.encode({"app": "absent_proj"}))
    assert missing.value.traceback == ""
    with pytest.raises(LoadError) as caught:
        load(msgspec.msgpack.encode({"app": "broken_proj"}))
    assert "ZeroDivisionError" in caught.value.reason
    assert caught.value.traceback.splitlines()[1].endswith('broken_proj.py", line 2, in <module>')
