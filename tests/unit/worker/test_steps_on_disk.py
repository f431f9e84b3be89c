"""What is said to need a restart of steps that the app does not bring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workerd import App
from workerd.config import load_layers
from workerd.worker.steps.added import added_steps, plugins_of
from workerd.worker.steps.on_disk import StepsOnDisk

MODULE = """
from workerd import bootsteps

class Plugin(bootsteps.Step):
    word = "{plugin}"

{more}
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """The module ``diskmod``, and an installed package of this version that brings a step of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "diskmod", raising=False)

    def one(plugin: str = "a", more: str = "", version: str = "1.0") -> None:
        (tmp_path / "diskmod.py").write_text(MODULE.format(plugin=plugin, more=more))
        info = tmp_path / "acme.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[workerd.bootsteps]\nworker.mine = diskmod:Plugin\n")

    return one


def on_disk(*, plugins: bool = True) -> StepsOnDisk:
    app = App("disk")
    config = load_layers(flags={"steps.plugins": plugins}).config()
    found = plugins_of(config)
    return StepsOnDisk(added_steps(app, config, found), app.steps, found)


def test_what_lies_there_as_it_did_needs_nothing(write: Write) -> None:
    write()
    steps = on_disk()
    assert steps.changed() == []
    write(more="ANOTHER = 1")
    assert steps.changed() == []


def test_a_step_whose_class_has_another_text_is_named(write: Write) -> None:
    write()
    steps = on_disk()
    write(plugin="b")
    assert steps.changed() == ["worker step diskmod.Plugin"]


def test_another_version_of_its_package_is_named_too(write: Write) -> None:
    write()
    steps = on_disk()
    write(version="2.0")
    assert steps.changed() == ["installed step worker.mine"]


def test_a_file_that_is_gone_or_no_code_any_more_is_a_change(write: Write, tmp_path: Path) -> None:
    write()
    steps = on_disk()
    write(more="class Broken(:")
    assert steps.changed() == ["worker step diskmod.Plugin"]
    (tmp_path / "diskmod.py").unlink()
    assert steps.changed() == ["worker step diskmod.Plugin"]


def test_installed_steps_count_only_where_they_take_part(write: Write, tmp_path: Path) -> None:
    write()
    without, with_them = on_disk(plugins=False), on_disk()
    (tmp_path / "acme.dist-info" / "entry_points.txt").write_text("")
    assert without.changed() == []
    assert with_them.changed() == ["installed step worker.mine"]
