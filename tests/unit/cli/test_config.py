"""``workerd config``: what a daemon would start with, and why."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from workerd.cli import main
from workerd.cli.verbs.config import lines
from workerd.config.load import load_layers

FILE = """
size = "2-8"
broker = ["redis://u:secret@127.0.0.1/0", "redis://127.0.0.1/1"]
memory_budget = "4GB"
time_limit = "none"
[drain]
timeout = "10m"
[control]
key = "hush"
[pools.video]
queues = ["video"]
size = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "mail.toml"
    found.write_text(FILE)
    return found


def test_what_is_printed_is_a_settings_file_that_means_the_same(file: Path, tmp_path: Path) -> None:
    layers = load_layers({"loglevel": "debug"}, file, {"WORKERD_LEASE": "20"})
    text = "\n".join(lines(layers, explain=False))
    assert "secret" not in text
    assert "hush" not in text
    again = tmp_path / "again.toml"
    again.write_text(text.replace("u:**", "u:secret").replace("***", "hush"))
    assert load_layers({}, again, {}).config() == layers.config()


def test_each_value_names_its_place(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKERD_LEASE", "20")
    assert main(["config", "--config", str(file), "--explain", "-l", "debug"]) == 0
    told = dict(line.partition("  # ")[::2] for line in capsys.readouterr().out.splitlines())
    places = {line.strip(): place for line, place in told.items()}
    assert places['loglevel = "debug"'] == "the command line"
    assert places['lease = "20s"'] == "the environment (WORKERD_*)"
    assert places['drain.timeout = "600s"'] == f"{file}:7"
    assert places['pools.video.queues = ["video"]'] == f"{file}:11"
    assert places["max_crashes = 3"] == "default"


def test_without_explanations_it_is_toml(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--config", str(file)]) == 0
    assert tomllib.loads(capsys.readouterr().out)["size"] == "2-8"


def test_an_app_that_is_broken_hides_no_setting(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--config", str(file), "--explain", "-A", "no_such_app"]) == 78
    told = capsys.readouterr()
    (size,) = (line for line in told.out.splitlines() if line.startswith("size = "))
    assert size.split("  # ")[1] == f"{file}:2"
    assert "no module 'no_such_app'" in told.err and "of the app itself are not known" in told.err
