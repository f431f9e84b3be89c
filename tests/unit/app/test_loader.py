"""Finding an App by name: what counts, what is ambiguous, and whose error it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workerd.app import find_app, load_app
from workerd.errors import AppImportError, ConfigError

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into an empty current directory; they are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)

    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


APP = "from workerd import App\n"


def test_a_module_with_one_app_needs_no_attribute(write: Write) -> None:
    write("found_one.py", APP + "tasks = App('one')\nagain = tasks\n")
    assert find_app("found_one").main == "one"
    assert find_app("found_one:again").main == "one"


def test_the_name_app_is_preferred(write: Write) -> None:
    write("found_two.py", APP + "app = App('a')\nother = App('b')\n")
    assert find_app("found_two").main == "a"
    assert find_app("found_two:other").main == "b"


def test_a_module_in_a_package_is_found(write: Write) -> None:
    write("found_pkg/__init__.py", "")
    write("found_pkg/inner.py", APP + "app = App('inner')\n")
    assert find_app("found_pkg.inner").main == "inner"


def test_several_apps_are_an_error_that_names_them(write: Write) -> None:
    write("found_many.py", APP + "a = App('a')\nb = App('b')\n")
    with pytest.raises(ConfigError, match="found_many:a, found_many:b"):
        find_app("found_many")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "names no app"),
        ("a/b.py", "names no app"),
        ("found_absent", "no module 'found_absent'"),
        ("found_none.py", "'found_none.py' is a file; name its module: found_none"),
        ("found_none", "has no App"),
        ("found_none:nothing", "is missing"),
        ("found_none:value", "is no App but int"),
    ],
)
def test_what_names_no_app_is_a_configuration_error(write: Write, where: str, said: str) -> None:
    write("found_none.py", "value = 3\n")
    with pytest.raises(ConfigError, match=said):
        find_app(where)


def test_a_missing_dependency_is_the_apps_error(write: Write) -> None:
    write("found_needy.py", "import no_such_dependency\n")
    with pytest.raises(AppImportError, match="no_such_dependency") as caught:
        find_app("found_needy")
    assert "found_needy.py" in caught.value.traceback
    assert "importlib" not in caught.value.traceback


def test_an_app_that_exits_at_import_is_an_import_error(write: Write) -> None:
    write("found_exit.py", "raise SystemExit(0)\n")
    with pytest.raises(AppImportError, match="SystemExit"):
        find_app("found_exit")


def test_an_app_is_loaded_with_the_modules_that_it_names(write: Write) -> None:
    write("found_whole.py", APP + "app = App('whole', include=['found_part'])\n")
    write("found_part.py", "from found_whole import app\n@app.task\ndef t(): ...\n")
    assert "found_part.t" in load_app("found_whole").tasks


def test_a_module_that_an_app_names_is_the_apps_error(write: Write) -> None:
    write("found_holey.py", APP + "app = App('holey', include=['found_hole'])\n")
    with pytest.raises(
        ConfigError, match=r"no module 'found_hole' .from the app's setting imports or include"
    ):
        load_app("found_holey")
    write("found_hole.py", "1 / 0\n")
    with pytest.raises(
        AppImportError, match=r"'found_hole' \(from .*\) cannot be imported: ZeroDivisionError"
    ):
        load_app("found_holey")
