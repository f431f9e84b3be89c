"""How an app says what is periodic: settings, ``add_periodic_task``, its signals, and the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workerd import App
from workerd.app.loader import import_modules
from workerd.beat.settings import cluster_of, settings_of
from workerd.config.load import load_layers
from workerd.errors import AppImportError, ConfigError
from workerd.schedules import crontab, schedule


def app_with_task() -> tuple[App, Any]:
    app = App("proj")

    @app.task(name="proj.add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return app, add


def entries(app: App, rows: dict[str, Any] | None = None) -> Any:
    return settings_of(app, "proj", "main", "main@here", lease=10, missed="run-once", rows=rows or {}).entries


def test_tasks_are_added_when_the_app_is_there() -> None:
    app, add = app_with_task()

    @app.on_after_configure.connect
    def configured(sender: App, **words: Any) -> None:
        sender.add_periodic_task(10.0, add.s(1, y=2), name="ten", expires=5)

    @app.on_after_finalize.connect
    def finalized(sender: App, **words: Any) -> None:
        sender.add_periodic_task(crontab(5), "proj.add", (3,), {"y": 4}, missed="skip", queue="slow")

    import_modules(app)
    found = entries(app)
    assert list(found) == ["ten", "proj.add(3, y=4)"]
    ten, other = found.values()
    assert (ten.schedule, ten.args, ten.kwargs, ten.options) == (schedule(10), (1,), {"y": 2}, {"expires": 5})
    assert (other.args, other.kwargs, other.options) == ((3,), {"y": 4}, {"queue": "slow"})
    assert other.missed == "skip"


def test_a_receiver_that_fails_is_no_app() -> None:
    app, _ = app_with_task()

    @app.on_after_configure.connect
    def broken(sender: App, **words: Any) -> None:
        sender.add_periodic_task(0, "proj.add")

    with pytest.raises(AppImportError, match="more than 0 seconds"):
        import_modules(app)


def test_entries_may_be_set_at_once_or_in_place_and_are_no_other_apps() -> None:
    one, other = App("one"), App("other")
    one.conf.beat_schedule["a"] = {"task": "t", "schedule": 3}
    assert list(entries(one)) == ["a"]
    assert other.conf.beat_schedule == App("third").conf.beat_schedule == {}
    with pytest.raises(ConfigError, match="beat_schedule"):
        one.conf.beat_schedule = {"b": {"task": "t", "schedule": "never"}}
    one.conf.beat_schedule["b"] = {"task": "t"}
    with pytest.raises(ConfigError, match="the schedule cannot be read: entry 'b'"):
        entries(one)


FILE = """
[beat]
lease = "20s"

[beat.schedule.report]
task = "proj.report"
cron = "0 7 * * 1-5"
args = [1]
kwargs = {deep = {er = 2}}
queue = "slow"

[beat.schedule.sweep]
task = "proj.sweep"
every = "10m"
missed = "skip"
"""


def test_a_settings_file_has_entries_too(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(FILE)
    beat = load_layers({}, file, {"WORKERD_BEAT__MISSED": "skip"}).config().beat
    assert (beat.enabled, beat.lease, beat.missed) == (False, 20.0, "skip")
    found = entries(app_with_task()[0], beat.schedule)
    assert repr(found["report"].schedule) == "cron 0 7 * * 1-5"
    assert found["report"].kwargs == {"deep": {"er": 2}}
    assert found["report"].options == {"queue": "slow"}
    assert found["sweep"].schedule == schedule(600)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('task = "t"', "either cron or every"),
        ('task = "t"\ncron = "* * *"', "no line of a crontab"),
        ('task = "t"\nevery = "soon"', "every: write seconds"),
        ('task = "t"\nevry = "1m"', "did you mean every"),
        ('every = "1m"', "names no task"),
    ],
)
def test_what_is_no_entry_of_a_file_is_refused(row: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(f"[beat.schedule.x]\n{row}\n")
    with pytest.raises(ConfigError, match=r"setting 'beat\.schedule' from .*f\.toml cannot be") as caught:
        load_layers({}, file, {}).config()
    assert told in str(caught.value)


def test_beats_of_one_app_are_one_cluster_whatever_the_daemons_are_called() -> None:
    assert cluster_of(App("shop"), "shop.tasks:app") == "shop"
    assert cluster_of(App(), "shop.tasks:app") == cluster_of(App("__main__"), "shop") == "shop"
