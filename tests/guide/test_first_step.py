"""A first step: written, installed, seen in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.daemon import Workerd

STEP = """
from workerd import bootsteps

class {name}(bootsteps.StartStopStep):
    def start(self, parent):
        print(f"{name} starts with {{parent!r}}")
"""

APP = (
    STEP.format(name="OfTheApp")
    + """
from workerd import App

app = App("installed")
app.steps["worker"].add(OfTheApp)
"""
)


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("first-step.md")


def test_steps_come_from_the_app_the_settings_and_installed_packages(
    short_dir: Path, make: Callable[..., Workerd]
) -> None:
    for name, text in {
        "installed.py": APP,
        "bysetting.py": STEP.format(name="OfTheSettings"),
        "acme.py": STEP.format(name="OfThePackage"),
        "main.toml": 'app = "installed"\n[steps]\nworker = ["bysetting:OfTheSettings"]\n',
    }.items():
        (short_dir / name).write_text(text)
    info = short_dir / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[workerd.bootsteps]\nconsumer.mine = acme:OfThePackage\n")

    daemon = make(app="installed").start("--config", "main.toml")
    assert daemon.status()["steps"][-3:] == ["OfTheSettings", "OfTheApp", "Consumer"]
    assert daemon.stop() == 0

    for name, parent in (("OfTheApp", "Worker"), ("OfTheSettings", "Worker"), ("OfThePackage", "Consumer")):
        assert daemon.logged(rf"WARNING/MainProcess\] {name} starts with <{parent}: main@")
