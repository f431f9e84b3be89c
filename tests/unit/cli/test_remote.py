"""Words of ``workerd inspect`` and ``workerd control``, and what they print; the nodes are not asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from workerd.cli import main
from workerd.cli.remote import arguments_of, lines, nodes_of, told, verb_of
from workerd.control.commands import builtin_commands
from workerd.control.registry import Command, Door
from workerd.errors import UnavailableError, UsageError


def command(name: str) -> Command[Any]:
    found = builtin_commands().get(name, Door.BROKER)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "words", "arguments"),
    [
        ("ping", [], {}),
        ("pool_grow", ["2"], {"n": 2}),
        ("time_limit", ["proj.add", "5", "9.5"], {"task_name": "proj.add", "soft": 5.0, "hard": 9.5}),
        ("terminate", ["KILL", "a", "b"], {"signal": "KILL", "task_id": ["a", "b"]}),
        ("query_task", ["a"], {"ids": ["a"]}),
        ("conf", ["yes"], {"with_defaults": True}),
    ],
)
def test_words_are_given_to_arguments_in_their_order(
    name: str, words: list[str], arguments: dict[str, Any]
) -> None:
    assert arguments_of(command(name), words) == arguments


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("ping", ["x"], "too many words for ping; it takes none"),
        ("pool_grow", ["1", "2"], "it takes: [N]"),
        ("pool_grow", ["x"], "n cannot be 'x'"),
        ("conf", ["perhaps"], "write true or false"),
    ],
)
def test_wrong_words_are_told_before_anybody_is_asked(name: str, words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        arguments_of(command(name), words)
    assert says in str(caught.value)


def test_a_node_without_a_host_is_on_this_one() -> None:
    assert nodes_of("main, mail@other") == [f"main@{os.uname().nodename}", "mail@other"]
    with pytest.raises(UsageError):
        nodes_of(" , ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"ok": "pong"}, ["n: pong"]),
        ({"error": "no"}, ["n: error: no"]),
        (None, ["n: done"]),
        ([], ["n: nothing"]),
        ({}, ["n: nothing"]),
        (["a", {"b": 1}], ["n:", "  a", '  {"b": 1}']),
        ({"clock": 7}, ["n:", "  clock: 7"]),
        ("1MB", ["n: 1MB"]),
    ],
)
def test_answers_are_shown_for_people(value: Any, shown: list[str]) -> None:
    assert list(lines("n", value)) == shown


def test_the_exit_code_tells_that_a_node_could_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert told([{"b": {"ok": "x"}}, {"a": {"error": "no"}}], False, 1.0) == 1
    assert capsys.readouterr().out == "a: error: no\nb: x\n"
    assert told([{"b": {"ok": "x"}}], True, 1.0) == 0
    assert json.loads(capsys.readouterr().out) == {"b": {"ok": "x"}}
    assert told(None, False, 1.0) == 0
    with pytest.raises(UnavailableError, match="no node has answered within 1 s"):
        told([], False, 1.0)


def test_help_lists_commands_and_an_app_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-A", "nowhere_at_all", "control", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Begin not more runs of a task" in shown
    assert "no module 'nowhere_at_all'" in " ".join(shown.split())
    assert main(["control", "pool_grow", "--help"]) == 0
    assert "Usage: workerd control pool_grow [OPTIONS] [N]" in capsys.readouterr().out
    assert main(["-A", "nowhere_at_all", "control", "of_the_app"]) == 78
    assert main(["control", "pool_gro"]) == 2
    assert "did you mean 'pool_grow'?" in capsys.readouterr().err


def test_a_command_that_does_not_say_what_it_does_has_an_empty_help() -> None:
    assert verb_of(command("ping")).help
    assert verb_of(replace(command("ping"), help="")).help == ""
