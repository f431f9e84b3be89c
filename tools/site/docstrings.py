"""An extension of griffe: our docstrings, which are written for a terminal, as Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

# Each in a paragraph of its own.
FIELD = re.compile(r"^(Units|Errors|Source): +", flags=re.MULTILINE)
LITERAL = re.compile(r"^(.*?) ?::$", flags=re.MULTILINE)


class Docstrings(Extension):
    """Rewrites each docstring that is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """The fields apart from each other, and ``::`` as Markdown has it: an indented block says it alone."""
    text = LITERAL.sub(lambda found: f"{found[1]}:" if found[1] else "", text)
    return FIELD.sub(r"\n**\1:** ", text)
