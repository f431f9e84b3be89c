"""Words of a command line, told apart by whose options they are."""

from __future__ import annotations

import click
import pytest

from workerd.bin.words import split

OWN = [
    click.Option(["-A", "--app"]),
    click.Option(["-v", "--verbose"], count=True),
    click.Option(["--watch/--no-watch"]),
    click.Option(["--at"], nargs=2),
]


@pytest.mark.parametrize(
    ("words", "own", "others"),
    [
        ("", "", ""),
        ("-A proj --port 80", "-A proj", "--port 80"),
        ("--port 80 -A proj", "-A proj", "--port 80"),
        ("--port=80 --app=proj -Zdefault", "--app=proj", "--port=80 -Zdefault"),
        ("-Aproj -Z -A proj", "-Aproj -A proj", "-Z"),
        ("-vv -vAproj -vA proj -vx", "-vv -vAproj -vA proj", "-vx"),
        ("--watch --x --no-watch", "--watch --no-watch", "--x"),
        ("--at 1 2 3", "--at 1 2", "3"),
        ("--at=1 2 3", "--at=1 2", "3"),
        ("--x -- -A proj", "", "--x -- -A proj"),
        ("--apps proj - -A", "-A", "--apps proj -"),
        ("-A --watch --y", "-A --watch", "--y"),  # as click has it: the next word is the value
    ],
)
def test_words_go_to_their_options(words: str, own: str, others: str) -> None:
    assert split(words.split(), OWN) == (own.split(), others.split())
