"""The manual pages and the shell completions that are shipped know the program as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from workerd.cli.group import VERBS, group
from workerd.config.load import KEYS

SHARE = Path(__file__).parents[3] / "share"


def plain(page: str) -> str:
    return (SHARE / "man" / page).read_text().replace("\\-", "-")


def verbs(command: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in VERBS if command is group else command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield name, found
        if isinstance(found, click.Group):
            inner = verbs(found, click.Context(found, info_name=name, parent=context))
            yield from ((f"{name} {word}", one) for word, one in inner)


def test_the_manual_has_every_verb_with_every_option() -> None:
    page = plain("workerd.1")
    missing = []
    with click.Context(group, info_name="workerd") as context:
        for name, command in verbs(group, context):
            options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
            words = [
                f".SS {name} ",
                *(word for option in options if not option.hidden for word in option.opts),
            ]
            missing += [f"{name}: {word}" for word in words if word not in page]
    assert missing == [], "type: make manual"


def test_the_manual_has_every_setting() -> None:
    page = plain("workerd.toml.5")
    assert [key for key in KEYS if f".B {key}\n" not in page] == [], "type: make manual"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("workerd st", {"start", "stop", "status"}),
        ("workerd status --na", {"--name"}),
        ("workerd -n b", {"b"}),
    ],
)
def test_a_shell_is_offered_what_there_is(words: str, offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "b.toml").touch()
    done = subprocess.run(
        [sys.executable, "-m", "workerd"],
        env={
            **os.environ,
            "CONFIGURATION_DIRECTORY": str(tmp_path),
            "_WORKERD_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.removeprefix("plain,") for line in done.stdout.split()} == offered


@pytest.mark.parametrize("name", ["workerd.bash", "_workerd", "workerd.fish"])
def test_the_completions_ask_the_program(name: str) -> None:
    assert "_WORKERD_COMPLETE" in (SHARE / "completions" / name).read_text()
