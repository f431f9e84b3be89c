"""Which files hold settings, which of them wins, and at which line a mistake is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from workerd.config import Layers, config_names, load_layers
from workerd.errors import ConfigError, SettingsError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``etc`` is the configuration root, ``proj`` the current directory."""
    for name in ("etc/conf.d", "proj"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "etc"))
    monkeypatch.chdir(tmp_path / "proj")
    return tmp_path


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def loaded(**flags: str) -> Layers:
    return load_layers(flags, None, {})


def test_the_daemons_own_file_wins_over_what_is_shared_and_that_over_the_project(home: Path) -> None:
    write(home / "proj/pyproject.toml", '[project]\nname = "p"\n[tool.workerd]\nsize = 1\nlease = 11\n')
    write(home / "proj/workerd.toml", "size = 2\nmax_crashes = 2\n")
    write(home / "etc/conf.d/10-all.toml", "size = 3\nmax_crashes = 3\neta_horizon = 33\n")
    write(home / "etc/conf.d/20-more.toml", "size = 4\n")
    write(home / "etc/main.toml", "size = 5\n")
    write(home / "etc/conf.d/note.txt", "nothing of this")
    layers = loaded()
    config = layers.config()
    assert (config.size, config.max_crashes, config.lease, config.eta_horizon) == ((5, 5), 3, 11.0, 33.0)
    assert layers.source("lease") == "pyproject.toml:5".join((f"{home}/proj/", ""))
    (home / "etc/main.toml").unlink()
    assert loaded().config().size == (4, 4)


def test_a_file_that_is_named_is_the_only_one(home: Path) -> None:
    write(home / "etc/main.toml", "size = 5\n")
    write(home / "proj/workerd.toml", "lease = 20\n")
    only = write(home / "only.toml", "max_crashes = 9\n")
    config = load_layers({}, only, {}).config()
    assert (config.max_crashes, config.lease) == (9, 30.0)
    assert config.size != (5, 5) or os.cpu_count() == 5


def test_a_project_is_looked_for_where_the_daemon_works(home: Path) -> None:
    (home / "else").mkdir()
    write(home / "else/workerd.toml", "size = 7\n")
    assert loaded(chdir=str(home / "else")).config().size == (7, 7)


def test_a_project_cannot_say_where_it_is(home: Path) -> None:
    write(home / "proj/workerd.toml", '\nchdir = "/"\n')
    with pytest.raises(ConfigError, match=r"chdir cannot stand in .*workerd.toml:2, which is found by it"):
        loaded()


def test_a_pyproject_of_others_is_none_of_ours(home: Path) -> None:
    write(home / "proj/pyproject.toml", "[tool.other]\nsize = 1\n")
    assert [layer.values for layer in loaded().layers if "pyproject" in layer.source] == [{}]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_project_of_somebody_else_is_passed_over(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.chown(write(home / "proj/workerd.toml", "size = 7\n"), 54321, 54321)
    os.chown(write(home / "proj/pyproject.toml", "[tool.workerd]\nsize = 8\n"), 54321, 54321)
    with caplog.at_level(logging.WARNING):
        assert [layer.source for layer in loaded().layers] == [
            "the command line",
            "the environment (WORKERD_*)",
        ]
    assert "workerd.toml is not read: it is another user's; name it with --config" in caplog.text


def test_names_are_those_of_the_files(home: Path) -> None:
    for name in ("b.toml", "a.toml", "no good.toml", "c.txt"):
        write(home / "etc" / name, "")
    assert config_names() == ["a", "b"]


LONG = """\
app = "proj"     # 1

[drain]          # 3
timeout = "soon"
"grace" = -1

[pools.video]
queues = ["v"]
sice = 3
autoscale = { max_wait = "x" }
"""


def test_all_mistakes_are_told_at_once_with_their_lines(home: Path) -> None:
    write(home / "etc/main.toml", LONG)
    with pytest.raises(SettingsError) as caught:
        load_layers({}, None, {"WORKERD_SICE": "3"})
    told = [str(error) for error in caught.value.errors]
    file = home / "etc/main.toml"
    assert [text.partition("; ")[0] for text in told] == [
        "unknown setting 'sice' in the environment (WORKERD_*)",
        f"setting 'drain.timeout' from {file}:4 cannot be 'soon'",
        f"setting 'drain.grace' from {file}:5 cannot be -1",
        f"unknown setting 'pools.video.sice' in {file}:9",
        f"setting 'pools.video.autoscale.max_wait' from {file}:10 cannot be 'x'",
    ]
    assert "did you mean 'pools.video.size'?" in told[3]
