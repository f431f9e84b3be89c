"""What new code is asked before it serves, and what is known of it: self-check, marks, sources."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from tests.unit.app.mail import memory_app
from workerd import App, bootsteps
from workerd.app.marks import changed, marks_of
from workerd.app.running.selfcheck import check_app
from workerd.app.sources import own_sources, source_of
from workerd.errors import ConfigError


class Step(bootsteps.StartStopStep):
    requires = ("Pool",)


# -- self-check


def test_an_app_whose_coders_exist_passes() -> None:
    with memory_app() as app:
        app.conf.update(task_serializer="msgpack", accept_content=["json", "application/json"])
        app.task(name="t", serializer="yaml", compression="gzip")(lambda: None)
        check_app(app)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"task_serializer": "jason"}, {}, "app setting 'task_serializer' names the serializer 'jason'"),
        ({"accept_content": ["jason"]}, {}, "app setting 'accept_content' names the serializer 'jason'"),
        ({"task_compression": "zap"}, {}, "app setting 'task_compression' names the compression 'zap'"),
        ({}, {"serializer": "jason"}, "task option 'serializer' of t names the serializer 'jason'"),
        ({}, {"compression": "zap"}, "task option 'compression' of t names the compression 'zap'"),
    ],
)
def test_a_coder_that_does_not_exist_is_named_with_its_place(
    settings: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with memory_app() as app:
        app.conf.update(settings)
        app.task(name="t", **options)(lambda: None)
        with pytest.raises(ConfigError, match=message):
            check_app(app)


# -- marks


def test_the_same_app_has_the_same_marks_whatever_its_tasks() -> None:
    one, two = App("one"), App("two")
    one.steps["worker"].add(Step), two.steps["worker"].add(Step)
    two.task(name="t")(lambda: None)
    assert changed(marks_of(one), marks_of(two)) == []
    assert json.loads(json.dumps(marks_of(one))) == marks_of(one)


def test_what_the_supervisor_holds_is_named_when_it_changes() -> None:
    before, after = App("p"), App("p", broker="redis://elsewhere")
    before.steps["consumer"].add(Step), before.user_options["worker"].add(click.Option(["--gone"]))
    before.user_options["preload"].add(click.Option(["--zone"], default="a"))
    after.user_options["preload"].add(click.Option(["--zone"], default="b"))
    after.conf.update(task_default_queue="mail", result_expires=60, timezone="Europe/Oslo")
    assert changed(marks_of(before), marks_of(after)) == [
        f"consumer step {__name__}.Step",
        "preload option --zone",
        "setting broker",
        "setting queues",
        "setting timezone",
        "settings of results",
        "worker option --gone",
    ]


def test_servers_that_the_daemon_has_chosen_itself_are_no_change() -> None:
    before, after = App("p", broker="redis://a"), App("p", broker="redis://embedded", backend="redis://b")
    written = {"broker": before.daemon_defaults()["broker"], "backend": None}
    assert changed(marks_of(before), marks_of(after, written)) == []


def test_a_step_that_is_rewritten_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    marks = []
    for number in (1, 2222):  # of another length: a compiled module is told apart by that and by the second
        (tmp_path / "marked.py").write_text(
            "from workerd import App, bootsteps\napp = App('m')\n"
            f"class S(bootsteps.Step):\n    number = {number}\n"
            "app.steps['worker'].add(S)\n"
        )
        marks.append(marks_of(importlib.import_module("marked").app))
        del sys.modules["marked"]
        importlib.invalidate_caches()
    assert changed(*marks) == ["worker step marked.S"]


# -- sources


def module(name: str, file: Path | str | None) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = None if file is None else str(file)
    return made


def test_own_sources_are_packages_and_single_files_and_nothing_installed(tmp_path: Path) -> None:
    for name in (
        "proj/__init__.py",
        "proj/deep/__init__.py",
        "proj/deep/tasks.py",
        "single.py",
        "space/inner/__init__.py",
        ".venv/lib/python3/site-packages/dep/__init__.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    modules = [
        module("proj.deep.tasks", tmp_path / "proj/deep/tasks.py"),
        module("single", tmp_path / "single.py"),
        module("space.inner", tmp_path / "space/inner/__init__.py"),
        module("dep", tmp_path / ".venv/lib/python3/site-packages/dep/__init__.py"),
        module("json", json.__file__),
        module("workerd.app", tmp_path / "single.py"),
        module("gone", tmp_path / "gone.py"),
        module("builtin", None),
    ]
    assert own_sources(modules) == [str(tmp_path / name) for name in ("proj", "single.py", "space/inner")]


def test_an_installed_app_has_a_source_too() -> None:
    assert source_of("click.core") == [str(Path(click.__file__).parent)]
    assert source_of("sys") == source_of("no.such.module") == []


def test_the_sources_of_this_process_are_these_tests() -> None:
    assert str(Path(__file__).parents[2]) in own_sources()
