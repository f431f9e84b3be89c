"""Options of the app: where they may stand, what a help shows of them, and which verbs look at the app."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import click
import pytest

from workerd.cli import main
from workerd.cli.app_verb import AppVerb, user_words
from workerd.cli.common import Common, common_options
from workerd.signals import user_preload_options

PROJ = """
from workerd import App, signals
from workerd.bin import Option

app = App("proj")
heard = []
app.user_options["preload"].add(Option("-Z", "--template", default="default", help="Which template."))
app.user_options["worker"].add(Option("--port", type="int", default=8888, help="Which port."))
print("imported")
{more}


@signals.user_preload_options.connect
def hear(sender, app, options, **words):
    print("heard")
    heard.append((sender, app, options))
"""

Write = Callable[..., str]
_numbers = count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """An app with more in it, in a current directory where nothing else is; its module's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("WORKERD_STATE_DIR", str(tmp_path / "s"))
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", str(tmp_path / "r"))
    names: list[str] = []

    def one(more: str = "") -> str:
        # A receiver is held as long as its module is.
        names.append(f"optionsproj{next(_numbers)}")
        (tmp_path / f"{names[-1]}.py").write_text(PROJ.replace("{more}", more))
        return names[-1]

    yield one
    for name in names:
        if hear := getattr(sys.modules.pop(name, None), "hear", None):
            user_preload_options.disconnect(hear)


def module(name: str) -> ModuleType:
    return sys.modules[name]


@pytest.mark.parametrize(
    "words",
    [
        "-A {app} -Z blue version",
        "-Z blue -A {app} version",
        "-A {app} version -Z blue",
        "version -A {app} --template=blue",
        "version -Zblue -A {app}",
    ],
)
def test_preload_options_may_stand_anywhere(
    words: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write()

    assert main(words.format(app=name).split()) == 0

    proj = module(name)
    assert proj.heard == [("workerd version", proj.app, {"template": "blue"})]
    shown = capsys.readouterr()
    assert shown.out == "workerd 0.1.0\n" and set(shown.err.split()) == {"imported", "heard"}


def test_a_preload_option_that_is_not_typed_has_its_default(write: Write) -> None:
    name = write()
    assert main(["-A", name, "version"]) == 0
    assert [options for *_, options in module(name).heard] == [{"template": "default"}]


def test_a_verb_that_needs_no_app_looks_at_none_that_only_the_environment_names(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERD_APP", name := write())
    assert main(["version"]) == 0
    assert name not in sys.modules


def test_a_verb_that_needs_the_app_reads_the_options_of_one_that_the_environment_names(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERD_APP", name := write())
    assert main(["graph", "bootsteps", "-Z", "blue"]) == 0
    assert [options for *_, options in module(name).heard] == [{"template": "blue"}]


def test_a_verb_that_needs_no_app_goes_on_without_one_that_is_broken(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-A", write("1 / 0"), "version"]) == 0

    shown = capsys.readouterr()
    assert shown.out == "workerd 0.1.0\n"
    assert "workerd: the options of the app are not known: app module" in shown.err
    assert "ZeroDivisionError" in shown.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("-A {app} version -Z", 2, "Option '-Z' requires an argument. See `workerd version --help`."),
        ("-Z blue version", 2, "No such option '-Z'. See `workerd --help`."),
        ("-A {app} version --templat x", 2, "No such option '--templat'. See `workerd version --help`."),
        ("-A {app} start --dry --prt 1", 2, "No such option '--prt'. (Did you mean"),
        ("-A {app} start --dry --siz 1", 2, "'--size'"),
        ("start --siz 1", 2, "'--size'"),
        ("-A {app} start --dry --port x", 2, "Invalid value for '--port': invalid integer value: 'x'."),
        ("-A {app} start --dry more", 2, "Got unexpected extra argument (more). See `workerd start --help`."),
        ("-A no.app -Z blue version", 78, "there is no module 'no'"),
    ],
)
def test_wrong_words_are_one_line(
    words: str, code: int, told: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.format(app=write()).split()) == code

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("workerd: ")]
    assert told in lines[0] and len(lines) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            'app.user_options["worker"].add(Option("--size"))',
            "option --size is added, and there is one already",
        ),
        ('app.user_options["preload"].add(Option("--port"))', "option --port is added"),
        ('app.user_options["worker"].add("--pace")', "'--pace' is no command-line option"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    more: str, told: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-A", write(more), "start", "--dry"]) == 78
    assert told in capsys.readouterr().err


def test_the_help_of_start_shows_all_options_of_the_app(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write()
    assert main(["start", "-A", name, "--help"]) == 0

    section = capsys.readouterr().out.partition(f"\nOptions of {name}:\n")[2].partition("\n\n")[0]
    assert section == ("  --port PORT              Which port.\n  -Z, --template TEMPLATE  Which template.")


def test_beat_takes_options_of_the_app_beside_its_own_words(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write('app.user_options["beat"].add(Option("--fancy", type="int", help="How much."))')
    assert main(["beat", "-A", name, "--help"]) == 0
    assert "  --fancy FANCY            How much.\n" in capsys.readouterr().out
    for words, told in (
        (["--fancy", "x"], "Invalid value for '--fancy'"),
        (["--facny", "1"], "'--facny'"),
        (["pause"], "workerd beat pause needs a NAME"),
        (["list", "it"], "workerd beat list takes no NAME"),
        (["run", "it"], "there is no periodic task 'it'; there are: none"),
    ):
        assert main(["-A", name, "beat", *words]) in (2, 78)
        assert told in capsys.readouterr().err


def test_the_help_of_the_group_shows_the_preload_options(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write()
    assert main(["-A", name, "--help"]) == 0

    section = capsys.readouterr().out.partition(f"\nOptions of {name}:\n")[2].partition("\n\n")[0]
    assert section == "  -Z, --template TEMPLATE  Which template."


@pytest.mark.parametrize("words", ["-A {app} --help", "-A {app} start --help"])
def test_a_help_is_shown_without_an_app_that_is_broken(
    words: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.format(app=write("raise OSError('no disk')")).split()) == 0

    shown = capsys.readouterr()
    assert "--app APP" in shown.out and "Example:" in shown.out and "Options of" not in shown.out
    assert "the options of the app are not known" in shown.err and "no disk" in shown.err


def test_a_verb_reads_the_options_of_its_kind(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("dump", cls=AppVerb, kind="events")
    @common_options
    def command(common: Common) -> None:
        from workerd.app.loader import find_app

        read.append(user_words(click.get_current_context()).read(find_app(common.app or "")))

    read: list[object] = []
    name = write('app.user_options["events"].add(Option("--colour"))')
    assert command.main(["-A", name, "--colour", "red", "-Z", "x"], "dump", standalone_mode=False) == 0
    assert read == [{"colour": "red"}]
    assert module(name).heard == [("dump", module(name).app, {"template": "x"})]


@pytest.mark.parametrize("words", ["--help", "start --help", "version", "status --help"])
def test_what_only_the_daemon_needs_is_not_loaded_for(words: str) -> None:
    code = f"import sys; from workerd.cli import main; main({words.split()}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"kombu", "redis", "amqp", "billiard", "asyncio", "workerd.app", "workerd.worker"}


def test_a_probe_loads_no_app_and_nothing_that_is_slow(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERD_APP", write(""))  # as a container has it
    code = "import sys; from workerd.cli import main; print(main(['health', '--live']), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    code, *loaded = done.stdout.split()
    assert code == "69"
    slow = {"workerd.app", "workerd.config", "msgspec", "importlib.metadata", "tomllib", "kombu", "asyncio"}
    assert not slow & set(loaded)


def test_importing_workerd_loads_nothing_but_pythons_own() -> None:
    code = "import sys; before = set(sys.modules); import workerd; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots - sys.stdlib_module_names == {"workerd"}


def test_an_app_with_options_costs_its_children_no_click_but_where_they_are_read(write: Write) -> None:
    code = "import sys; import workerd.bin, workerd.app.running.runner; print('click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
