"""Nothing that a message brings can pass for a record of the log, or steer a terminal."""

from __future__ import annotations

import io
import logging
import re

import pytest

from workerd.worker.log.harmless import harmless
from workerd.worker.log.text import TextFormatter

FORGED = "[2026-11-26 00:00:00,000: INFO/MainProcess] Task proj.pay succeeded"


def logged(message: str, *, prefixed: bool = False, raised: BaseException | None = None) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(prefixed=prefixed))
    info = (type(raised), raised, raised.__traceback__) if raised else None
    handler.emit(logging.LogRecord("workerd", logging.INFO, __file__, 1, message, (), info))
    return stream.getvalue().removesuffix("\n").split("\n")


@pytest.mark.parametrize("breaking", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_a_name_makes_no_record(breaking: str) -> None:
    text = "\n".join(logged(f"Task evil{breaking}{FORGED} is unknown"))
    assert len([line for line in text.splitlines() if re.match(r"\[20\d\d-", line)]) == 1
    assert FORGED in text  # it is told all the same


def test_an_exception_makes_no_record() -> None:
    lines = logged("Task failed", raised=ValueError(f"x\n{FORGED}"))
    assert [line for line in lines if line.startswith("[")] == lines[:1]
    assert f"|{FORGED}" in lines


def test_a_name_chooses_no_priority_in_the_journal() -> None:
    assert {line[:3] for line in logged("Task evil\n<0>down", prefixed=True)} == {"<6>"}
    assert logged("Task evil\n<0>down")[1] == "|<0>down"


def test_a_result_does_not_steer_a_terminal() -> None:
    (line,) = logged("Task x succeeded: '\x1b]0;title\x07\x1b[2J'")
    assert "\x1b" not in line and "\\x1b]0;title\\x07\\x1b[2J" in line


@pytest.mark.parametrize("text", ["", "all is well", "größe 3 µs", "one\n\ttwo\n  three", "日本語 🙂"])
def test_what_is_harmless_stays(text: str) -> None:
    assert harmless(text) == text
