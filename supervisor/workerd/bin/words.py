"""The words of a command line that only the app understands: apart from the others, and read.

Errors:  UsageError, one line, for words that cannot be read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from workerd.errors import UsageError, close_matches

END = "--"
"""What follows this word is no option."""


def split(words: Iterable[str], options: Iterable[click.Parameter]) -> tuple[list[str], list[str]]:
    """(the words of ``options`` with their values, all others), each in their order."""
    taken: list[str] = []
    others: list[str] = []
    for own, part in _parts(words, options):
        (taken if own else others).extend(part)
    return taken, others


def first_other(words: Iterable[str], options: Iterable[click.Parameter]) -> str | None:
    """The first word that is none of ``options`` and no value of theirs."""
    return next((part[0] for own, part in _parts(words, options) if not own), None)


def read(
    words: Sequence[str], options: Sequence[click.Parameter], command: str, others: Iterable[str] = ()
) -> dict[str, Any]:
    """The values of ``options``, by name.

    ``command`` is what an error names; ``others`` are flags that could have been meant by an unknown one.
    """
    reader = click.Command(command, params=list(options), add_help_option=False)
    try:
        with reader.make_context(command, list(words)) as context:
            return dict(context.params)
    except click.NoSuchOption as exc:
        known = {*others, *(flag for option in options for flag in option.opts)}
        near = close_matches(exc.option_name, sorted(known), n=3)
        raise _usage(click.NoSuchOption(exc.option_name, possibilities=near), command) from exc
    except click.UsageError as exc:
        raise _usage(exc, command) from exc


def _usage(exc: click.UsageError, command: str) -> UsageError:
    text = exc.format_message()
    return UsageError(f"{text}{'' if text.endswith(('.', '?', '?)')) else '.'} See `{command} --help`.")


def _parts(words: Iterable[str], options: Iterable[click.Parameter]) -> Iterator[tuple[bool, list[str]]]:
    """(whether it is of ``options``, a word with its values), in the order of ``words``."""
    arity = {flag: _values(o) for o in options for flag in (*o.opts, *o.secondary_opts) if flag[:1] == "-"}
    left = deque(words)
    while left:
        word = left.popleft()
        if word == END:
            yield False, [word, *left]
            return
        missing = _missing(word, arity)
        if missing is None:
            yield False, [word]
        else:
            yield True, [word, *(left.popleft() for _ in range(min(missing, len(left))))]


def _values(option: click.Parameter) -> int:
    flag = isinstance(option, click.Option) and (option.is_flag or option.count)
    return 0 if flag else option.nargs


def _missing(word: str, arity: dict[str, int]) -> int | None:
    """How many of the words that follow belong to this one; None when it is no word of ours."""
    name, equals, _ = word.partition("=")
    if name in arity and (name.startswith("--") or not equals):
        return arity[name] - bool(equals)
    if word.startswith("--") or not word.startswith("-") or word == "-":
        return None
    # -p80, or flags in one word as in -vvv, of which the last may have a value.
    for place, letter in enumerate(word[1:], start=2):
        values = arity.get(f"-{letter}")
        if values is None:
            return None
        if values:
            return values - (place < len(word))
    return 0
