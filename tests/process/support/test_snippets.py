"""A document whose snippets do not do what it says fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.snippets import Reader


def follow(home: Path, text: str) -> None:
    (home / "document.md").write_text(text)
    Reader(home, os.environ, (home / "up").exists, patience=20.0).follow(home / "document.md")


def test_files_commands_and_outputs_follow_each_other(tmp_path: Path) -> None:
    follow(
        tmp_path,
        "```text file=a.txt\none\ntwo\nthree\n```\n\nwords\n\n```sh run\ncat a.txt\n```\n\n"
        "```text output\none\n…three\n```\n\n```sh\nfalse\n```\n",
    )


def test_a_command_that_fails_fails_the_document(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="exit code 3"):
        follow(tmp_path, "```sh run\nexit 3\n```\n")


def test_another_output_fails_the_document(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="expected"):
        follow(tmp_path, "```sh run\necho 4\n```\n\n```text output\n5\n```\n")


def test_a_background_command_must_end_well(tmp_path: Path) -> None:
    document = "```sh background\nsh -c 'touch up; read -r x < pipe; exit {code}'\n```\n"
    document += "```sh run\necho > pipe\n```\n"
    os.mkfifo(tmp_path / "pipe")
    follow(tmp_path, document.format(code=0))
    (tmp_path / "up").unlink()
    with pytest.raises(AssertionError, match="ended badly"):
        follow(tmp_path, document.format(code=1))


def test_an_unknown_mark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unknown mark 'rum'"):
        follow(tmp_path, "```sh rum\ntrue\n```\n")
