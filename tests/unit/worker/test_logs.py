"""``print`` in the supervisor: whole lines in the log, whatever handlers the app has set up."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest

from workerd.worker.log.logs import prints_to_log


@pytest.fixture
def stdout() -> io.StringIO:
    """The stream that is there before the redirect."""
    return io.StringIO()


@pytest.fixture
def added() -> Iterator[list[logging.Handler]]:
    """Handlers that this test adds to the root logger."""
    handlers: list[logging.Handler] = []
    yield handlers
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "workerd.stdout"]


def handler_on_stdout(added: list[logging.Handler]) -> None:
    added.append(logging.StreamHandler(sys.stdout))
    logging.getLogger().addHandler(added[-1])


def test_whole_lines_are_logged_as_warnings(stdout: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
    with redirect_stdout(stdout), prints_to_log():
        print("one\ntw", end="")
        assert lines(caplog) == ["one"]
        print("o\n\n   ")

    assert lines(caplog) == ["one", "two"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert stdout.getvalue() == ""


def test_the_last_line_is_logged_without_its_end(
    stdout: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    with redirect_stdout(stdout), pytest.raises(RuntimeError), prints_to_log():
        print("nearly", end="")
        raise RuntimeError

    assert lines(caplog) == ["nearly"]


def test_a_handler_on_the_redirected_stdout_does_not_come_back_for_ever(
    stdout: io.StringIO, added: list[logging.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    with redirect_stdout(stdout), prints_to_log():
        handler_on_stdout(added)
        print("hello")

    assert stdout.getvalue() == "hello\n"
    assert lines(caplog) == ["hello"]


def test_a_record_for_such_a_handler_arrives_too(
    stdout: io.StringIO, added: list[logging.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    with redirect_stdout(stdout), prints_to_log():
        handler_on_stdout(added)
        logging.getLogger("app").error("broken")

    assert stdout.getvalue() == "broken\n"


def test_such_a_handler_goes_on_working_after_the_redirect(
    stdout: io.StringIO, added: list[logging.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    with redirect_stdout(stdout), prints_to_log():
        handler_on_stdout(added)
    logging.getLogger("app").error("late")

    assert stdout.getvalue() == "late\n"


def test_prints_go_to_the_log_again_after_a_handler_that_raised(
    stdout: io.StringIO, added: list[logging.Handler], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ConnectionError("the log server is gone")

    added.append(Broken())
    with redirect_stdout(stdout), prints_to_log():
        logging.getLogger().addHandler(added[-1])
        with pytest.raises(ConnectionError):
            print("first")
        logging.getLogger().removeHandler(added[-1])
        print("second")

    assert lines(caplog) == ["first", "second"]
    assert stdout.getvalue() == ""
