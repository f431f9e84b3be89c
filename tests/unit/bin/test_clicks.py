"""Options in optparse's spelling mean under click what they mean under optparse."""

from __future__ import annotations

import optparse
from copy import deepcopy
from typing import Any, ClassVar

import click
import pytest

from workerd.bin import Option
from workerd.bin.clicks import as_click, check_flags, click_options
from workerd.bin.words import read
from workerd.errors import ConfigError, UsageError

OPTIONS: dict[str, tuple[Any, ...]] = {
    "flag of the guide": (Option("--on", action="store_true", default=False, help="Enable it."),),
    "flag without default": (Option("--on", action="store_true"),),
    "flag that turns off": (Option("--off", action="store_false", default=True, dest="on"),),
    "both ways": (Option("--on", action="store_true"), Option("--off", action="store_false", dest="on")),
    "text with a default": (Option("-Z", "--template", default="default"),),
    "text": (Option("-Z", "--template"),),
    "int of the guide": (Option("--port", default=8888, type="int"),),
    "int by class": (Option("-p", "--port", type=int),),
    "int, default as text": (Option("--port", default="80", type="int"),),
    "float": (Option("--rate", type="float"),),
    "complex": (Option("--where", type="complex"),),
    "choice": (Option("--colour", choices=["red", "blue"]),),
    "two values": (Option("--at", type="int", nargs=2),),
    "constant": (Option("--fast", action="store_const", const=9, dest="speed", default=1),),
    "text constant": (Option("--fast", action="store_const", const="f", dest="speed"),),
    "list": (Option("--name", action="append"),),
    "list with a default": (Option("--name", action="append", default=["x"]),),
    "list of ints": (Option("-n", "--number", action="append", type="int"),),
    "list of constants": (Option("--more", action="append_const", const=3, dest="numbers"),),
    "count": (Option("-v", action="count", dest="verbose"),),
    "count from a default": (Option("-v", action="count", dest="verbose", default=2),),
    "other name": (Option("--my-very-long", dest="short", type="int", default=3),),
    "short only": (Option("-x"),),
}

TYPED: dict[str, list[str]] = {
    "flag of the guide": ["--on"],
    "flag without default": ["--on"],
    "flag that turns off": ["--off"],
    "both ways": ["--on", "--off"],
    "text with a default": ["-Zother"],
    "text": ["--template=a b"],
    "int of the guide": ["--port", "0x1f"],
    "int by class": ["-p80"],
    "int, default as text": ["--port=81"],
    "float": ["--rate", "-1e3"],
    "complex": ["--where", "1+2j"],
    "choice": ["--colour", "blue"],
    "two values": ["--at", "3", "4"],
    "constant": ["--fast"],
    "text constant": ["--fast"],
    "list": ["--name", "a", "--name=b"],
    "list with a default": ["--name", "a"],
    "list of ints": ["-n1", "--number", "2"],
    "list of constants": ["--more", "--more"],
    "count": ["-vvv"],
    "count from a default": ["-v"],
    "other name": ["--my-very-long=4"],
    "short only": ["-x", "y"],
}


def by_optparse(options: tuple[Any, ...], words: list[str]) -> dict[str, Any]:
    # optparse adds to the very list that is the default.
    parser = optparse.OptionParser(option_list=deepcopy(list(options)), add_help_option=False)
    values, rest = parser.parse_args(words)
    assert rest == []
    return dict(vars(values))


def by_click(options: Any, words: list[str]) -> dict[str, Any]:
    return read(words, click_options(options), "workerd start")


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_typed_gives_the_same_value(name: str) -> None:
    assert by_click(OPTIONS[name], []) == by_optparse(OPTIONS[name], [])


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_words_give_the_same_value(name: str) -> None:
    assert by_click(OPTIONS[name], TYPED[name]) == by_optparse(OPTIONS[name], TYPED[name])


def test_a_default_list_is_not_changed_by_what_is_typed() -> None:
    options = (Option("--name", action="append", default=["x"]),)
    assert by_click(options, ["--name", "a"]) == by_click(options, ["--name", "a"]) == {"name": ["x", "a"]}


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        (
            "int of the guide",
            ["--port", "x"],
            "Invalid value for '--port': invalid integer value: 'x'. See `workerd start --help`.",
        ),
        ("choice", ["--colour", "green"], "invalid choice: 'green' (choose from 'red', 'blue')."),
        ("text", ["--template"], "Option '--template' requires an argument. See `workerd start --help`."),
        ("text", ["--templat"], "Did you mean '--template'?"),
        ("text", ["more"], "Got unexpected extra argument (more)."),
    ],
)
def test_wrong_words_are_one_line(name: str, words: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        by_click(OPTIONS[name], words)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_help_says_what_the_option_says() -> None:
    port = as_click(Option("--port", type="int", default=8888, metavar="NUMBER", help="Port [%default]."))
    colour = as_click(Option("--colour", choices=["red", "blue"]))
    hidden = as_click(Option("--secret", help=optparse.SUPPRESS_HELP))
    context = click.Context(click.Command("x"))

    assert port.get_help_record(context) == ("--port NUMBER", "Port [8888].")
    assert colour.get_help_record(context) == ("--colour [red|blue]", "")
    assert hidden.get_help_record(context) is None


def test_a_type_of_an_authors_own_is_checked_by_its_class() -> None:
    def check(option: optparse.Option, flag: str, value: str) -> tuple[str, ...]:
        return tuple(value.split(","))

    class Own(optparse.Option):
        TYPES = (*optparse.Option.TYPES, "csv")
        TYPE_CHECKER: ClassVar = {**optparse.Option.TYPE_CHECKER, "csv": check}

    assert by_click([Own("--names", type="csv")], ["--names", "a,b"]) == {"names": ("a", "b")}


def test_clicks_own_options_stay_as_they_are() -> None:
    option = click.Option(["--level"], type=click.IntRange(0, 9), default=3)
    assert as_click(option) is option
    assert by_click([option, Option("--on", action="store_true")], ["--level=4"]) == {"level": 4, "on": None}


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--name", "'--name' is no command-line option; write workerd.bin.Option(...) or click.Option(...)"),
        (click.Argument(["name"]), "is no command-line option"),
        (Option("--now", action="callback", callback=print), "option --now has the action 'callback'"),
        (Option("--2nd"), "is to be given as '2nd', which is no name; write dest='a_name'"),
    ],
)
def test_what_cannot_be_an_option_is_told(option: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        as_click(option)
    assert told in str(caught.value)


def test_two_options_of_one_flag_are_told() -> None:
    with pytest.raises(ConfigError, match=r"option -p is added, and there is one already"):
        click_options({Option("-p", "--port"), Option("-p", "--path")})
    with pytest.raises(ConfigError, match=r"option --port is added"):
        check_flags([as_click(Option("--port"))], [click.Option(["--port"])])
