"""Log records through a pipe and back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st

from workerd_pool import Job, RecordHandler, records
from workerd_pool.lines import CONTINUED, Lines
from workerd_pool.records import LONGEST, Text

JOBS = {1: Job(1, {}, b"")}


def back(data: bytes) -> list[Text]:
    lines = Lines()
    lines.feed(data, JOBS)
    lines.finish()
    return [text for _, text in lines.take(1000)]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What handlers write is read here."""
    reader, writer = os.pipe()
    monkeypatch.setattr(records, "STDERR", writer)
    os.set_blocking(reader, False)
    yield reader
    os.close(reader)
    os.close(writer)


def logger_of(level: int = logging.DEBUG) -> logging.Logger:
    logger = logging.Logger("proj.mail", level)
    logger.addHandler(RecordHandler())
    return logger


def test_a_record_keeps_its_level_its_name_and_its_lines(pipe: int) -> None:
    try:
        raise ValueError("no address")
    except ValueError:
        logger_of().exception("not sent to %s", "Ünal")
    (text,) = back(os.read(pipe, 65536))
    assert (text.level, text.logger) == (logging.ERROR, "proj.mail")
    first, *_, last = text.text.split("\n")
    assert (first, last) == ("not sent to Ünal", "ValueError: no address")


def test_an_unfinished_line_before_a_record_is_a_line_of_its_own(pipe: int) -> None:
    logger_of().info("ready")
    assert back(b"working ..." + os.read(pipe, 65536)) == [
        Text("working ..."),
        Text("ready", logging.INFO, "proj.mail"),
    ]


def test_a_very_long_record_comes_in_parts(pipe: int) -> None:
    logger_of().info("x" * (LONGEST // 2) + "\n" * 20)
    (text,) = back(os.read(pipe, 1 << 20))
    assert len(text.text) == LONGEST // 2 + 20
    long = [line for part in records._lines(20, "a", "y" * (LONGEST + 5)) for line in back(part)]
    assert [len(text.text) for text in long] == [LONGEST, 5]
    assert CONTINUED not in long[0].text


def test_what_cannot_be_formatted_is_reported_and_raises_nothing(
    pipe: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logger_of().info("%d", "no number")
    assert "TypeError: %d format" in capsys.readouterr().err


def test_an_interruption_while_a_record_is_written_reaches_the_job(pipe: int) -> None:
    class Slow:
        def __str__(self) -> str:
            raise SoftTimeLimitExceeded()

    with pytest.raises(SoftTimeLimitExceeded):
        logger_of().info("%s", Slow())


@given(st.integers(0, 10**6), st.text(), st.text(max_size=300))
def test_any_text_comes_back(level: int, name: str, text: str) -> None:
    data = b"".join(records._lines(level, name, text))
    (found,) = back(data)
    assert found.level == level
    assert "\0" not in found.text and "\n" not in found.logger
    if "\0" not in text and not text.endswith("\r"):
        shown = text.encode("utf-8", "backslashreplace").decode()
        assert found.text == shown


def test_a_head_that_no_handler_writes_is_text() -> None:
    assert back(b"\0log x y\0text\n") == [Text("\\x00log x y\\x00text")]
