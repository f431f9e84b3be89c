"""``print`` in the supervisor: whole lines in the log, whatever handlers the app has set up."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest

from workerd import App, signals
from workerd.app.running.logs import FORMAT
from workerd.errors import AppImportError
from workerd.worker.log.handler import Handler
from workerd.worker.log.logs import ask_app, prints_to_log
from workerd.worker.log.logstream import LogStream
from workerd.worker.log.said import Prints, formatter_of, prints_of


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


def test_an_app_that_sets_up_logging_has_it_alone(added: list[logging.Handler]) -> None:
    got: list[dict[str, object]] = []
    ours = Handler(LogStream(sys.stderr.fileno()))
    added.append(ours)
    logging.getLogger().addHandler(ours)

    def receive(**words: object) -> None:
        assert ours not in logging.getLogger().handlers
        got.append(words)

    signals.setup_logging.connect(receive)
    signals.after_setup_logger.connect(receive)
    try:
        ask_app("warning", App().conf)
    finally:
        signals.setup_logging.disconnect(receive)
        signals.after_setup_logger.disconnect(receive)
    said = {"loglevel": logging.WARNING, "logfile": None, "format": FORMAT, "colorize": False}
    assert got == [{"signal": signals.setup_logging, "sender": None, **said}]


def test_an_app_that_does_not_may_change_what_is_set_up() -> None:
    got: list[tuple[object, object, object]] = []

    def receive(signal: object, logger: object, loglevel: object, **words: object) -> None:
        got.append((signal, logger, loglevel))
        raise ValueError("isolated")

    names = (signals.after_setup_logger, signals.after_setup_task_logger)
    for signal in names:
        signal.connect(receive)
    try:
        ask_app("info", App().conf)
    finally:
        for signal in names:
            signal.disconnect(receive)
    loggers = (logging.getLogger(), logging.getLogger("workerd.task"))
    assert got == [(names[0], loggers[0], logging.INFO), (names[1], loggers[1], logging.INFO)]


def test_an_app_whose_logging_cannot_be_set_up_is_told_with_its_traceback() -> None:
    def receive(**words: object) -> None:
        raise OSError("no log directory")

    signals.setup_logging.connect(receive)
    try:
        with pytest.raises(AppImportError, match="setup_logging has called, has failed: OSError") as caught:
            ask_app("info", App().conf)
    finally:
        signals.setup_logging.disconnect(receive)
    assert "in receive" in caught.value.traceback


def test_formats_of_the_app_are_those_of_the_log_and_of_what_tasks_log() -> None:
    conf = App(
        worker_log_format="%(message)s!", worker_task_log_format="%(task_name)s %(task_id)s %(message)s"
    )
    formatter = formatter_of(conf.conf)
    assert formatter is not None
    plain = logging.LogRecord("x", logging.INFO, "", 0, "%s: %s", ("proj.add[i-1]", "hello"), None)
    assert formatter.format(plain) == "proj.add[i-1]: hello!"
    plain.task_name, plain.task_id, plain.task_text = "proj.add", "i-1", "hello"
    assert formatter.format(plain) == "proj.add i-1 hello"
    assert formatter_of(App().conf) is None
    dated = formatter_of(App(worker_log_datefmt="%Y").conf)
    assert dated is not None
    assert re.match(r"\[\d{4}: INFO/", dated.format(plain))


def test_what_is_printed_has_the_level_that_the_app_says_or_goes_past_the_log(
    stdout: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    assert prints_of(App().conf) == Prints(logging.INFO, logging.WARNING)
    assert prints_of(App(worker_redirect_stdouts_level="debug").conf) == Prints(logging.DEBUG, logging.DEBUG)
    assert prints_of(App(worker_redirect_stdouts=False).conf) == Prints(None, None)
    with redirect_stdout(stdout), prints_to_log(None):
        print("as it is")
    assert (stdout.getvalue(), lines(caplog)) == ("as it is\n", [])


def test_the_root_logger_is_ours_alone_where_the_app_says_so(added: list[logging.Handler]) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        handler_on_stdout(added)
        ask_app("info", App(worker_hijack_root_logger=True).conf)
        assert [type(one) for one in root.handlers] == [Handler]
    finally:
        root.handlers[:] = before
