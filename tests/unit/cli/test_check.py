from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workerd.cli import main


@pytest.fixture(autouse=True)
def place(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with room for sockets, in which nothing runs and apps are found."""
    monkeypatch.setenv("WORKERD_STATE_DIR", str(short_dir / "state"))
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", str(short_dir / "run"))
    monkeypatch.syspath_prepend(str(short_dir))
    monkeypatch.chdir(short_dir)
    return short_dir


def write_app(place: Path, name: str, text: str) -> None:
    (place / f"{name}.py").write_text(text)
    sys.modules.pop(name, None)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    out, err = capsys.readouterr()
    return {line.split()[0]: line for line in out.splitlines()} | {"stderr": err}


def test_a_good_app_passes_and_nothing_is_created(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(place, "checked", "from workerd import App\napp = App('checked')\n@app.task\ndef t(): ...\n")

    assert main(["-A", "checked", "check"]) == 0

    told = rows(capsys)
    assert told["app"] == "app       ok      checked: 1 task"
    assert "Worker: Hub, Timer," in told["steps"] and "Consumer: Connection," in told["steps"]
    assert "embedded: not running" in told["broker"]
    assert not (place / "state").exists() and not (place / "run").exists()


def test_a_module_of_the_app_that_is_missing_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(place, "checked", "from workerd import App\napp = App('checked', include=['nomod'])\n")

    assert main(["-A", "checked", "check"]) == 78

    assert "FAILED  there is no module 'nomod' (from the app's setting" in rows(capsys)["app"]


def test_an_app_that_cannot_be_imported_is_shown_once_and_the_rest_is_checked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_app(place, "bad_app", "raise RuntimeError('my bug')\n")

    assert main(["-A", "bad_app", "check"]) == 78

    told = rows(capsys)
    assert "FAILED" in told["app"] and "my bug" in told["app"]
    assert "skipped" in told["steps"]
    assert "ok" in told["broker"] and "ok" in told["paths"]
    assert told["stderr"].count("RuntimeError: my bug") == 1


def test_steps_that_cannot_be_ordered_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(
        place,
        "odd_steps",
        "from workerd import App, bootsteps\napp = App('odd_steps')\n"
        "class S(bootsteps.StartStopStep):\n    requires = ('Nowhere',)\n"
        "app.steps['worker'].add(S)\n",
    )

    assert main(["-A", "odd_steps", "check"]) != 0
    assert "FAILED" in (told := rows(capsys))["steps"]
    assert "Nowhere" in told["steps"]


def test_a_broker_that_is_down_is_unavailable(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(place, "checked2", "from workerd import App\napp = App('checked2')\n")
    nowhere = f"redis+socket://{place}/nowhere"

    assert main(["-A", "checked2", "check", "--broker", nowhere, "--backend", nowhere]) == 69

    told = rows(capsys)
    for row in ("broker", "backend"):
        assert f"{nowhere} cannot be reached: " in told[row]
        assert "No such file or directory" in told[row]
        assert "check that the server runs" in told[row]


def test_urls_that_cannot_work_are_told_each_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--broker", "sqs://", "--backend", "redis://ann:secret@h:port/0"]) == 78

    told = rows(capsys)
    assert "'sqs://' is of no kind that is served" in told["broker"]
    assert "a URL of redis, rediss, redis+socket, amqp or amqps such as" in told["broker"]
    assert "FAILED" in told["backend"] and "secret" not in told["backend"]
    assert "ok" in told["paths"]


def test_a_bug_in_one_row_does_not_end_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workerd.cli.checks.Checks.app", lambda self: 1 // 0)

    assert main(["check"]) == 70

    told = rows(capsys)
    assert "FAILED  bug: ZeroDivisionError" in told["app"]
    assert "ok" in told["paths"]


def test_settings_that_cannot_be_read_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "/nonexist", "check"]) == 78

    out = capsys.readouterr().out
    assert out.count("/nonexist") == 1
    assert out.count("skipped needs the settings") == 5


def test_a_socket_path_that_does_not_fit_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", f"/{'x' * 100}")

    assert main(["check"]) == 78
    assert "107" in rows(capsys)["paths"]


@pytest.mark.parametrize(
    ("backend", "code", "words"),
    [
        ("disabled", 0, "none: results are not kept"),
        ("rpc://", 0, "results are messages over the broker"),
        ("file://{}", 0, "reached"),
        ("file://{}/gone", 78, "mkdir -p"),
    ],
)
def test_backends_without_a_server_are_told_for_what_they_are(
    place: Path, capsys: pytest.CaptureFixture[str], backend: str, code: int, words: str
) -> None:
    write_app(place, "checked3", "from workerd import App\napp = App('checked3')\n")

    assert main(["-A", "checked3", "check", "--backend", backend.format(place)]) == code

    assert words in rows(capsys)["backend"]
