from __future__ import annotations

import errno
import subprocess
import sys

import pytest

import workerd
from workerd.cli import main
from workerd.cli.group import VERBS
from workerd.cli.report import reported
from workerd.errors import AppImportError, ConfigError


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_help_of_every_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0

    out = capsys.readouterr().out
    assert (
        f"Example:\n    workerd {'-A proj ' if verb in ('start', 'beat', 'check', 'graph') else ''}{verb}"
        in out
    )
    assert "--app" in out and "--name" in out


def test_the_help_of_the_group_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", ["dead", "delayed"])
def test_the_help_of_a_verb_with_verbs_tells_all_of_what_each_does(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0

    verbs = capsys.readouterr().out.partition("\nVerbs:\n")[2]
    assert "..." not in verbs.partition("Example:")[0]
    assert all(f"  {name} " in verbs for name in ("list", "requeue" if verb == "dead" else "flush"))


@pytest.mark.parametrize("argv", [["version"], ["--version"]])
def test_the_version_is_printed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == f"workerd {workerd.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["stauts"], "workerd: no verb 'stauts'; did you mean 'status'? See `workerd --help`.\n"),
        (["dead", "lst"], "workerd: no verb 'lst'; did you mean 'list'? See `workerd dead --help`.\n"),
        (["stop", "--soon"], "See `workerd stop --help`.\n"),
        (["stop", "--timeout", "soon"], "write seconds, or a number with ms, s, m, h or d."),
        (["call"], "workerd: Missing argument 'NAME'. See `workerd call --help`.\n"),
        (["call", "a", "b"], "workerd: Got unexpected extra argument (b). See `workerd call --help`.\n"),
        (["status", "-l", "loud"], "See `workerd status --help`."),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2

    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def raising(error: BaseException) -> int:
    def verb() -> int:
        raise error

    return reported(False, verb)


def test_a_known_error_is_one_line_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ConfigError("the size is wrong", "write a number")) == 78
    assert capsys.readouterr().err == "workerd: the size is wrong; write a number\n"


def test_a_full_stop_of_a_library_does_not_stand_before_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert raising(ConfigError("it said: refused.", "check it")) == 78
    assert capsys.readouterr().err == "workerd: it said: refused; check it\n"


def test_an_empty_name_is_refused_and_not_taken_for_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--name", ""]) == 78
    monkeypatch.setenv("WORKERD_NAME", "")
    assert main(["status"]) == 78
    assert capsys.readouterr().err.count("workerd: name '' cannot be used; use 1-64 letters") == 2


def test_an_apps_own_traceback_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(AppImportError("proj cannot be imported", "mend it", "Traceback\nboom")) == 78
    assert capsys.readouterr().err == "Traceback\nboom\nworkerd: proj cannot be imported; mend it\n"


def test_a_bug_is_one_line_that_says_where_and_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(ZeroDivisionError("by zero")) == 70

    err = capsys.readouterr().err
    assert err.startswith("workerd: bug: ZeroDivisionError('by zero') at ")
    assert "-l debug" in err and err.count("\n") == 1


def test_the_traceback_of_a_bug_is_shown_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(True, lambda: 1 // 0) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_without_a_verb_the_help_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Usage: workerd [OPTIONS] VERB ..."
    assert "    workerd status" in lines


@pytest.mark.parametrize(
    "url", ["foo://", "://", "redis://h:port/0", "redis://h/abc", "redis://[::1", "sqs://", "amqp://h:x//"]
)
@pytest.mark.parametrize("words", [["start"], ["call", "t"], ["result", "id-1"]])
def test_a_broker_url_that_cannot_work_is_one_line(
    url: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-A", "json", "--broker", url] if words == ["start"] else [*words, "-b", url]) == 78

    err = capsys.readouterr().err
    assert url in err
    assert err.count("\n") == 1


def test_a_broker_url_that_cannot_work_is_told_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKERD_BROKER", "foo://x")
    assert main(["start", "-A", "json"]) == 78
    assert (
        "'foo://x' is of no kind that is served (from the environment (WORKERD_*));"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("words", ["version", "--version"])
@pytest.mark.parametrize(
    ("where", "told"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_one_line_and_exit_1(words: str, where: str, told: str) -> None:
    line = f"{sys.executable} -m workerd {words} {where}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, f"workerd: cannot write the output: {told}\n")


def test_an_error_of_another_file_is_a_bug_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(OSError(errno.EBADF, "Bad file descriptor", "/some/file")) == 70
    assert "bug" in capsys.readouterr().err


def test_ctrl_c_while_the_command_line_is_imported_is_quiet() -> None:
    code = "import sys\n"
    code += "class Interrupting:\n    def find_spec(self, name, path=None, target=None):\n"
    code += "        if name == 'workerd.cli.lazy': raise KeyboardInterrupt\n"
    code += "sys.meta_path.insert(0, Interrupting()); from workerd.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "")
