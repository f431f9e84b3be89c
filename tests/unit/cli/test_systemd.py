"""The unit that ``workerd systemd unit`` prints."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from workerd.cli.verbs.systemd import escaped, fitted
from workerd.errors import ConfigError
from workerd.shipped import shipped

UNIT = shipped("systemd/workerd@.service")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_program_app_user_and_directory_are_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "a b" / "workerd"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    found = lines(fitted(UNIT, "proj:app", getpass.getuser(), str(tmp_path), 252))
    assert f'ExecStart="{program}" -A proj:app start --name %i' in found
    assert f'ExecReload="{program}" reload --name %i' in found
    assert f"WorkingDirectory={tmp_path}" in found
    assert f"User={getpass.getuser()}" in found
    assert {line.partition("=")[0] for line in lines(UNIT)} <= {line.partition("=")[0] for line in found}


@pytest.mark.parametrize(("version", "there"), [(None, False), (252, False), (254, True)])
def test_what_only_newer_ones_know_is_for_them(version: int | None, there: bool) -> None:
    assert ("RestartSteps=" in fitted(UNIT, None, getpass.getuser(), None, version)) is there


@pytest.mark.parametrize(
    ("user", "directory", "words"),
    [
        ("nobody-of-that-name", None, "there is no user nobody-of-that-name; make it"),
        (getpass.getuser(), "/nowhere/at/all", "/nowhere/at/all is no directory"),
    ],
)
def test_what_the_machine_does_not_have_is_refused(user: str, directory: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fitted(UNIT, None, user, directory, 252)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("/usr/bin/workerd", "/usr/bin/workerd"),
        ("/a b", '"/a b"'),
        ('/a"b', '"/a\\"b"'),
        ("/100%", "/100%%"),
        ("/$HOME", "/$$HOME"),
        ("a\\b", "a\\\\b"),
    ],
)
def test_words_reach_the_program_as_they_are(word: str, text: str) -> None:
    assert escaped(word) == text
