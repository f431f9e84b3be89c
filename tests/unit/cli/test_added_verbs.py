"""Sub-commands of installed packages: found, shown, run, and left out when they are broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workerd.cli import main

Install = Callable[..., None]

CODE = """
import click

from workerd.bin import Command, Option, pass_app


class Greet(Command):
    '''Say hello.

    And more of it.
    '''

    def get_options(self):
        return (
            Option("--times", type="int", default=1, help="How often."),
            click.Option(["--loud"], is_flag=True),
        )

    def run(self, times=1, loud=False, **options):
        assert not options
        click.echo("HELLO " * times if loud else "hello " * times)
        return times - 1


class Words(Command):
    args = "[WORD]..."
    option_list = (Option("-n", action="store_true", dest="numbered"),)

    def run(self, *words, **options):
        click.echo(f"{words} {options}")
        return "no code"


class Silent(Command):
    pass


@click.command("another-name")
@click.argument("name")
@pass_app
def named(app, name):
    "Name the app."
    click.echo(f"{name} {app.main}")


@click.command()
def failing():
    raise KeyError("no such thing")


@click.command()
@click.option("-b", "--big")
def own_b(big):
    click.echo(f"big={big}")


@click.group()
def many():
    "Several."


@many.command()
@pass_app
def one(app):
    click.echo(app.conf.broker_url)


nothing = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install("pack", "1.0", name="value", ...)``: what pip would leave behind for such a package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "addedverbs", None)  # put back at the end
    monkeypatch.delitem(sys.modules, "addedverbs")

    def one(package: str, version: str, group: str = "workerd.commands", **values: str) -> None:
        (tmp_path / "addedverbs.py").write_text(CODE)
        info = tmp_path / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        rows = "\n".join(f"{name.replace('__', '.')} = {value}" for name, value in values.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{rows}\n")

    return one


def test_a_class_takes_its_options_and_answers_with_its_code(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", greet="addedverbs:Greet")

    assert main(["greet", "--times", "0x2", "--loud"]) == 1
    assert main(["greet"]) == 0
    assert capsys.readouterr().out == "HELLO HELLO \nhello \n"


def test_a_class_takes_words_if_its_run_does(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pack", "1.0", words="addedverbs:Words", greet="addedverbs:Greet")

    assert main(["words", "-n", "a", "b"]) == 0
    assert main(["greet", "a"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "('a', 'b') {'numbered': True}\n"
    assert shown.err == "workerd: Got unexpected extra argument (a). See `workerd greet --help`.\n"


def test_the_help_of_one_is_its_docstring_and_its_options_in_their_order(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", greet="addedverbs:Greet", words="addedverbs:Words")

    assert main(["greet", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Usage: workerd greet [OPTIONS]\n\n  Say hello.\n\n  And more of it.\n" in out
    assert "  --times TIMES  How often.\n  --loud\n" in out
    assert main(["words", "--help"]) == 0
    # It has no docstring, and is not explained by that of Command.
    assert capsys.readouterr().out.startswith("Usage: workerd words [OPTIONS] [WORD]...\n\nOptions:\n")


def test_a_click_command_goes_by_the_name_of_its_entry_point_and_is_given_the_app(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", who="addedverbs:named")

    assert main(["who", "me"]) == 0
    assert main(["-A", "tests.support.apps.ledger", "who", "you"]) == 0
    assert main(["who", "-A", "tests.support.apps.ledger", "they"]) == 0
    assert capsys.readouterr().out == "me <command line>\nyou ledger\nthey ledger\n"


def test_a_group_may_stand_there_too(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pack", "1.0", many="addedverbs:many")

    assert main(["many", "-b", "redis://here", "one"]) == 0
    assert capsys.readouterr().out == "('redis://here',)\n"


def test_a_flag_of_its_own_comes_before_the_common_one(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", own="addedverbs:own_b")

    assert main(["own", "-b", "x"]) == 0
    assert capsys.readouterr().out == "big=x\n"


def test_what_one_raises_is_one_line_and_no_bug_of_ours(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", failing="addedverbs:failing")

    assert main(["failing"]) == 1
    assert capsys.readouterr().err == (
        "workerd: sub-command 'failing' has failed: KeyError: 'no such thing'; "
        "add -l debug for the traceback\n"
    )
    assert main(["failing", "-l", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_help_of_the_group_lists_them_and_leaves_out_broken_ones_by_name(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", greet="addedverbs:Greet", lost="no_such_module:x", start="addedverbs:Greet")
    install("other", "2.1", nothing="addedverbs:nothing")

    assert main(["--help"]) == 0

    shown = capsys.readouterr()
    assert "\nVerbs of installed packages:\n  greet  Say hello.\n\n" in shown.out
    assert "workerd: left out: sub-command 'lost' of pack 1.0 cannot be loaded: ModuleNotFound" in shown.err
    assert "workerd: left out: sub-command 'nothing' of other 2.1 cannot be used: 3 is neither" in shown.err
    assert shown.err.count("\n") == 2


def test_a_broken_one_is_told_when_it_is_typed_and_harms_no_other(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pack", "1.0", lost="addedverbs:Missing", greet="addedverbs:Greet")

    assert main(["lost"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("workerd: sub-command 'lost' of pack 1.0 cannot be loaded: ")
    assert main(["greet"]) == 0


def test_the_nearest_name_may_be_one_of_theirs(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pack", "1.0", greet="addedverbs:Greet")

    assert main(["great"]) == 2
    assert "no verb 'great'; did you mean 'greet'?" in capsys.readouterr().err


def test_plugins_lists_all_with_their_packages(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pack", "1.0", greet="addedverbs:Greet", start="addedverbs:Greet", silent="addedverbs:Silent")
    install("other", "2.1", greet="addedverbs:Words", lost="no_such_module:x")
    install("stepping", "3", group="workerd.bootsteps", worker__a="addedverbs:Greet", b="x:y")

    assert main(["plugins", "--json"]) == 1

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {(row["kind"], row["name"], row["package"]): row["problem"] for row in rows}
    assert [problem for problem in found.values() if not problem] == ["", ""]
    assert found["command", "greet", "other 2.1"] == found["command", "silent", "pack 1.0"] == ""
    assert found["command", "greet", "pack 1.0"] == "other 2.1 has one of that name"
    assert found["command", "start", "pack 1.0"] == "workerd itself has one of that name"
    assert "No module named 'no_such_module'" in found["command", "lost", "other 2.1"]
    assert "is not a bootstep" in found["step", "worker.a", "stepping 3"]
    assert "names no blueprint" in found["step", "b", "stepping 3"]


def test_plugins_says_so_when_there_are_none(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out == "no installed package adds anything\n"
