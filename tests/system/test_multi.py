"""``workerd multi``: several daemons by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Workerd

SETTINGS = 'app = "tests.support.apps.ledger"\nsize = 1\n'


@pytest.fixture
def several(short_dir: Path) -> Iterator[Workerd]:
    """Nothing runs yet; settings files of ``a`` and ``b`` are there."""
    found = Workerd(short_dir)
    found.env["CONFIGURATION_DIRECTORY"] = str(short_dir / "etc")
    (short_dir / "etc").mkdir()
    for name in "ab":
        (short_dir / "etc" / f"{name}.toml").write_text(SETTINGS)
    yield found
    found.run("multi", "stop", "--now", "--names", "a,b,c,d,bad")
    found.leaves_nothing()


def test_those_that_have_settings_are_started_looked_at_reloaded_and_stopped(several: Workerd) -> None:
    etc = several.home / "etc"
    assert several.run("multi", "list").stdout == f"a  {etc}/a.toml\nb  {etc}/b.toml\n"
    looked = several.run("multi", "status")
    assert looked.returncode == 1 and "no daemon named 'a' runs" in looked.stdout

    started = several.run("multi", "start")
    assert (started.returncode, started.stderr) == (0, "")
    assert [line.split("@")[0] for line in started.stdout.splitlines()] == ["a: a", "b: b"]
    looked = several.run("multi", "status")
    assert looked.returncode == 0
    assert [line.split(", pid")[0] for line in looked.stdout.splitlines()] == ["a  running", "b  running"]
    assert "1 of 1 children, 0 tasks running" in looked.stdout

    assert "a: reloaded: generation 2 serves" in several.run("multi", "reload", "a").stdout
    assert several.run("multi", "stop", "b").stdout == "b: stopped\n"
    stopped = several.run("multi", "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "b: does not run\na: stopped\n")


@pytest.mark.long
def test_names_without_files_and_one_that_does_not_start(several: Workerd) -> None:
    words = ("-A", several.app, "multi", "start", "--names", "c,d", "--", "--size", "2")
    assert several.run(*words).returncode == 0
    assert several.run("multi", "status", "c", "d").stdout.count("2 of 2 children") == 2

    (several.home / "etc" / "bad.toml").write_text('app = "nowhere"\n')
    started = several.run("multi", "start", "bad", "a")
    assert started.returncode == 78
    assert "bad: workerd: there is no module 'nowhere'" in started.stderr
    assert started.stdout.startswith("a: a@")

    unknown = several.run("multi", "start", "nobody")
    assert unknown.returncode == 78
    assert unknown.stderr == (
        f"workerd: there is no settings file {several.home}/etc/nobody.toml; "
        "create it, or name the app with -A\n"
    )
