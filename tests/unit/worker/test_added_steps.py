"""Steps of the app, of the settings and of installed packages, together; and what cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workerd import App, bootsteps
from workerd.config import load_layers
from workerd.errors import AppImportError, ConfigError
from workerd.worker.steps.added import added_steps

MODULE = """
from workerd import bootsteps

class One(bootsteps.StartStopStep):
    pass

class Two(bootsteps.ConsumerStep):
    pass

class NoStep:
    pass
"""

Install = Callable[[str], None]


class Own(bootsteps.Step):
    pass


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """An app with one step; the modules of these tests can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "addedmod.py").write_text(MODULE)
    (tmp_path / "brokenmod.py").write_text("raise RuntimeError('no step for you')\n")
    app = App("added")
    app.steps["worker"].add(Own)
    return app


@pytest.fixture
def install(tmp_path: Path, app: App) -> Install:
    """An installed package ``acme`` with this entry point."""

    def one(line: str) -> None:
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[workerd.bootsteps]\n{line}\n")

    return one


def names(app: App, **flags: Any) -> dict[str, list[str]]:
    config = load_layers({key.replace("__", "."): value for key, value in flags.items()}, None, {}).config()
    found = added_steps(app, config)
    return {blueprint: sorted(map(str, steps)) for blueprint, steps in found.items()}


def test_settings_add_to_what_the_app_adds(app: App) -> None:
    found = names(app, steps__worker="addedmod:One, addedmod.One", steps__consumer=["addedmod:Two"])

    assert found == {"worker": ["addedmod.One", f"{__name__}.Own"], "consumer": ["addedmod.Two"]}
    assert app.steps["worker"] == {Own}, "what is added by others is not the app's"


def test_installed_packages_add_theirs_unless_that_is_switched_off(app: App, install: Install) -> None:
    install("consumer.two = addedmod:Two")

    assert names(app)["consumer"] == ["addedmod.Two"]
    assert names(app, steps__plugins="false")["consumer"] == []


def test_an_entry_point_without_a_blueprint_says_how_to_name_it(app: App, install: Install) -> None:
    install("one = addedmod:One")

    with pytest.raises(ConfigError, match=r"'one' of acme .*; name it worker\.one or consumer\.one"):
        names(app)


def test_an_entry_point_that_leads_nowhere_names_its_package(app: App, install: Install) -> None:
    install("worker.one = addedmod:Onne")

    with pytest.raises(ConfigError, match=r"^entry point worker\.one of acme names .*has no 'Onne'"):
        names(app)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("One", "names 'One', which is no path to a step; write module:Class"),
        ("addedmod:", "which is no path to a step"),
        ("a b:One", "which is no path to a step"),
        ("addedmod:Onne", "names 'addedmod:Onne', and addedmod has no 'Onne'"),
        ("addedmod:NoStep", "names 'addedmod:NoStep', which is not a bootstep"),
        ("nomod:One", r"there is no module 'nomod' \(from setting steps.worker\)"),
    ],
)
def test_a_setting_that_names_no_step_is_told_by_its_name(app: App, path: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        names(app, steps__worker=path)


def test_a_module_that_raises_is_shown_with_its_traceback(app: App) -> None:
    with pytest.raises(AppImportError, match=r"'brokenmod' \(from setting steps\.worker\)") as caught:
        names(app, steps__worker="brokenmod:One")

    assert "no step for you" in caught.value.traceback
