"""``--watch``: new code by saving a file, and broken code that changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]

APP = """
from tests.support.apps.ledger import app
from watched.values import VALUE

@app.task(name="value")
def value():
    return VALUE
"""


def package(home: Path) -> Path:
    """An app in a package, beside things that are none of its code."""
    watched = home / "watched"
    watched.mkdir()
    (watched / "__init__.py").touch()
    (watched / "tasks.py").write_text(APP)
    save(watched / "values.py", "VALUE = 0")
    return watched


def save(file: Path, text: str) -> None:
    """As an editor does: a dropping first, then a new file in the place of the old one."""
    dropping = file.with_name(f".{file.name}.swp")
    dropping.write_text(text + "\n")
    dropping.rename(file)


def watchers(daemon: Workerd) -> list[psutil.Process]:
    return [process for process in daemon.descendants() if process.pid in _pids("program.py")]


def _pids(word: str) -> set[int]:
    found = psutil.process_iter(["cmdline"])
    return {process.pid for process in found if word in " ".join(process.info["cmdline"] or ())}


def test_a_saved_file_is_in_force_and_a_broken_one_is_shown_and_changes_nothing(
    make: Make, short_dir: Path
) -> None:
    watched = package(short_dir)
    daemon = make(app="watched.tasks:app").start("--watch", size="1")
    assert str(watched) in daemon.status()["watch"]
    (row,) = (line for line in daemon.run("status").stdout.splitlines() if line.startswith("  watch "))
    assert str(watched) in row  # beside the tests themselves, wherever those are
    with daemon.client() as app:

        def serves(value: int, file: Path = watched / "values.py") -> bool:
            # Saved again and again: watching begins a moment after the start, and after new code is known.
            save(file, f"VALUE = {value}")
            return bool(app.send_task("value").get(timeout=30) == value)

        eventually(lambda: serves(1), within=60, every=0.5)
        assert daemon.logged(r"Changed: values.py")
        save(watched / "values.py", "VALUE = = 2")
        eventually(lambda: daemon.logged("SyntaxError: invalid syntax"))
        assert daemon.logged(r"Reload failed, generation \d+ goes on serving: app module")
        assert app.send_task("value").get(timeout=30) == 1
        # Also what only new code has imported, from a package that was not there, is watched.
        other = short_dir / "other"
        other.mkdir()
        (other / "__init__.py").write_text("VALUE = 3\n")
        save(watched / "values.py", "from other import VALUE")
        eventually(lambda: app.send_task("value").get(timeout=30) == 3)
        eventually(lambda: str(other) in daemon.status()["watch"])
        eventually(lambda: serves(4, other / "__init__.py"), within=60, every=0.5)
    assert daemon.stop() == 0


def test_what_is_no_code_reloads_nothing(make: Make, short_dir: Path) -> None:
    watched = package(short_dir)
    daemon = make(app="watched.tasks:app").start("--watch", size="1")
    with daemon.client() as app:
        for name in ("4913", "values.py~", ".values.py.swp", "db.sqlite3", "__pycache__/x.cpython-311.pyc"):
            (watched / name).parent.mkdir(exist_ok=True)
            (watched / name).touch()
        (short_dir / "beside.py").touch()
        # What is code comes after all of these.
        eventually(lambda: save(watched / "values.py", "VALUE = 1") or daemon.logged("Changed: "), every=0.5)
        eventually(lambda: app.send_task("value").get(timeout=30) == 1)
    told = {line.partition("Changed: ")[2] for line in daemon.text().splitlines() if "Changed: " in line}
    assert told == {"values.py"}


def test_the_watching_program_is_started_again_and_dies_with_the_daemon(make: Make, short_dir: Path) -> None:
    package(short_dir)
    daemon = make(app="watched.tasks:app").start("--watch", size="1")
    [first] = watchers(daemon)
    first.kill()
    eventually(lambda: daemon.logged("The file watcher ended with signal 9; starting again"))
    eventually(lambda: [process for process in watchers(daemon) if process.pid != first.pid])
    daemon.kill(signal.SIGKILL)
    daemon.wait()
    daemon.leaves_nothing()


def test_without_its_package_one_line_names_the_extra(make: Make, short_dir: Path) -> None:
    package(short_dir)
    (short_dir / "sitecustomize.py").write_text("import sys\nsys.modules['watchfiles'] = None\n")
    daemon = make(app="watched.tasks:app")
    path = f"{short_dir}:{daemon.env['PYTHONPATH']}"
    done = daemon.run("-A", "watched.tasks:app", "start", "--watch", env={"PYTHONPATH": path})
    assert done.returncode == 78
    line = "workerd: watch needs the package watchfiles, which is not installed; pip install 'workerd[dev]'"
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
