from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from workerd import App
from workerd.cli import main
from workerd.cli.clientapp import NO_APP


class FakeResult:
    def __init__(self, task_id: str, outcome: Any = None, *, ended: bool = True) -> None:
        self.id, self.outcome, self.ended = task_id, outcome, ended
        self.traceback = "Traceback\nthe task's own"

    @property
    def state(self) -> str:
        return ("FAILURE" if isinstance(self.outcome, Exception) else "SUCCESS") if self.ended else "PENDING"

    def get(self, timeout: float, propagate: bool) -> Any:
        assert not propagate
        if not self.ended:
            raise TimeoutError
        return self.outcome

    def ready(self) -> bool:
        return self.ended

    def successful(self) -> bool:
        return self.state == "SUCCESS"


class FakeApp:
    main = NO_APP

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.result = FakeResult("id-1", 5)

    def __enter__(self) -> FakeApp:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def backend_url(self) -> str:
        return "redis://h/1"

    def send_task(self, *call: Any, **options: Any) -> FakeResult:
        self.sent.append((*call, options))
        return self.result

    def AsyncResult(self, task_id: str) -> FakeResult:  # noqa: N802
        return self.result


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    fake = FakeApp()
    monkeypatch.setattr("workerd.cli.verbs.call.client_app", lambda common: fake)
    monkeypatch.setattr("workerd.cli.verbs.result.client_app", lambda common: fake)
    return fake


def test_a_call_is_sent_with_its_options_and_its_id_printed(
    app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--args", "[2, 3]", "--kwargs", '{"a": null}', "--countdown", "1m", "--queue", "q"]
    assert main(["call", "proj.add", *words, "--priority", "3", "--expires", "2h"]) == 0

    options = {"countdown": 60.0, "queue": "q", "priority": 3, "expires": 7200.0}
    assert app.sent == [("proj.add", [2, 3], {"a": None}, options)]
    assert capsys.readouterr().out == "id-1\n"


def test_a_result_that_nobody_will_keep_is_not_waited_for_after_a_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Nothing listens there: a call that is sent all the same would end with 69.
    assert main(["call", "proj.add", "--broker", "redis://127.0.0.1:1/0", "--wait"]) == 78
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("workerd: nothing is sent: --wait needs a result backend, and there is none;")


def test_times_may_be_iso(app: FakeApp) -> None:
    assert main(["call", "t", "--eta", "2030-01-31T18:00+00:00", "--expires", "2030-02-01T00:00+00:00"]) == 0

    options = app.sent[0][-1]
    assert options["eta"] == datetime(2030, 1, 31, 18, tzinfo=UTC)
    assert options["expires"] == datetime(2030, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "words",
    [
        ["--queue", ""],
        ["--queue", " "],
        ["--priority", "-1"],
        ["--priority", "256"],
        ["--countdown", "5", "--eta", "2030-01-31T18:00"],
        ["--args", "[2,"],
        ["--args", "{}"],
        ["--kwargs", "[]"],
        ["--eta", "soon"],
        ["--expires", "soon"],
    ],
)
def test_wrong_arguments_are_one_line_and_nothing_is_sent(
    words: list[str], app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["call", "t", *words]) == 2

    assert app.sent == []
    assert capsys.readouterr().err.count("\n") == 1


def test_a_call_may_wait_for_its_value(app: FakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "t", "--wait"]) == 0
    assert capsys.readouterr().out == "id-1\n5\n"


def test_a_value_is_printed_as_json(app: FakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    app.result = FakeResult("id-1", {"a": [1, None]})

    assert main(["result", "id-1"]) == 0
    assert capsys.readouterr().out == '{"a": [1, null]}\n'


def test_a_failure_is_its_exception_and_exit_1(app: FakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    app.result = FakeResult("id-1", ValueError("bad"))

    assert main(["result", "id-1"]) == 1
    assert capsys.readouterr() == ("", "FAILURE: ValueError: bad\n")
    assert main(["result", "id-1", "--traceback"]) == 1
    assert capsys.readouterr().err == "Traceback\nthe task's own\nFAILURE: ValueError: bad\n"


def test_a_task_that_has_not_ended_in_time_is_unavailable(
    app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app.result = FakeResult("id-1", ended=False)

    assert main(["result", "id-1", "--timeout", "2s"]) == 69
    assert "task id-1 has not ended within 2 s (state PENDING)" in capsys.readouterr().err
    assert main(["result", "id-1", "--no-wait"]) == 1


@pytest.mark.parametrize("verb", ["call", "result"])
def test_an_empty_name_or_id_is_wrong(verb: str, app: FakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, ""]) == 2
    assert "must not be empty" in capsys.readouterr().err
    assert app.sent == []


@pytest.fixture
def proj(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is sent by an app with one task, which has options of its own."""
    named = App("proj", broker="redis://localhost/0")
    sent: list[tuple[Any, ...]] = []

    @named.task(name="proj.add", queue="sums", serializer="json")
    def add(x: int, y: int) -> int:
        return x + y

    def send_task(*call: Any, **options: Any) -> FakeResult:
        sent.append((*call, options))
        return FakeResult("id-1", 5)

    monkeypatch.setattr(named, "send_task", send_task)
    monkeypatch.setattr("workerd.cli.verbs.call.client_app", lambda common: named)
    return sent


def test_a_task_of_a_named_app_is_sent_with_its_own_options(proj: list[tuple[Any, ...]]) -> None:
    assert main(["-A", "proj", "call", "proj.add", "--args", "[2, 3]"]) == 0

    ((name, args, _, options),) = proj
    assert (name, list(args)) == ("proj.add", [2, 3])
    assert (options["queue"], options["serializer"]) == ("sums", "json")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["proj.ad"], "did you mean 'proj.add'?"),
        (["proj.add", "--args", "[2]"], "missing a required argument"),
    ],
)
def test_what_a_named_app_does_not_take_is_told(
    words: list[str], told: str, proj: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-A", "proj", "call", *words]) == 2
    assert told in capsys.readouterr().err
    assert proj == []
