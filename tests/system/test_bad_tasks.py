"""Tasks that break their process in every way: each is a failure of that one task, and the next one runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from workerd import App

NOISY = "tests.support.apps.noisy"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workerd]:
    """One child, so that the next task runs where the bad one has; a message may kill one child only."""
    home = tmp_path_factory.getbasetemp() / "b"
    home.mkdir()
    with running(home, app=NOISY, size="1", env={"WORKERD_MAX_CRASHES": "1"}) as daemon:
        yield daemon


@pytest.fixture
def app(daemon: Workerd) -> Iterator[App]:
    with daemon.client() as app:
        yield app
        # Whatever the test has sent: the next one finds a daemon that works.
        assert app.send_task("noisy.size", ("next",)).get(timeout=60) == "next"


def failure(app: App, task: str, *args: Any) -> Any:
    """The exception that the task's result holds."""
    result = app.send_task(task, args)
    eventually(lambda: result.state in ("FAILURE", "SUCCESS"), within=60)
    assert result.state == "FAILURE", result.result
    return result


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("os._exit", "WorkerLostError", "exitcode 5"),
        ("segfault", "WorkerLostError", "SIGSEGV"),
        ("kill", "WorkerLostError", "SIGKILL"),
        ("sys.exit", "TaskExitError", "SystemExit('enough')"),
        ("base", "TaskExitError", "BaseException('bare')"),
        ("interrupt", "TaskExitError", "KeyboardInterrupt()"),
    ],
)
def test_an_end_of_the_process_is_the_tasks_failure(
    app: App, daemon: Workerd, kind: str, name: str, words: str
) -> None:
    result = failure(app, "noisy.exits", kind)
    assert type(result.result).__name__ == name
    assert words in str(result.result)
    assert daemon.logged(rf"noisy.exits\[{result.id}\] .*")
    if kind == "segfault":
        assert daemon.logged(rf"noisy.exits\[{result.id}\]: Fatal Python error: Segmentation fault\n")
        assert daemon.logged(rf"noisy.exits\[{result.id}\]:   File .*noisy.py.*, line \d+ in exits\n")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("raises", "HostileError"),
        ("raises sly", "ValueError"),
        ("returns set", "EncodeError"),
        ("returns hostile", "EncodeError"),
        ("recursion", "RecursionError"),
        ("deep", "EncodeError"),
    ],
)
def test_what_cannot_be_looked_at_is_the_tasks_failure(
    app: App, daemon: Workerd, kind: str, name: str
) -> None:
    before = daemon.status()["pools"][0]["children"][0]["pid"]
    result = failure(app, "noisy.hostile", kind)
    assert type(result.result).__name__ == name
    assert daemon.logged(rf"Task noisy.hostile\[{result.id}\] raised unexpected: ")
    assert daemon.status()["pools"][0]["children"][0]["pid"] == before


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("exits", 7, ""),
        ("raises", 1, "ValueError: in the fork"),
        ("returns", 0, r"process \d+, which noisy.forks\[.*\] forked, came back from the task; it ends here"),
    ],
)
def test_a_fork_that_comes_back_ends_and_nothing_is_sent_twice(
    app: App, daemon: Workerd, kind: str, code: int, words: str
) -> None:
    callback = app.signature("noisy.prints", (f"once after {kind}",), immutable=True)
    result = app.send_task("noisy.forks", (kind,), link=callback)
    assert result.get(timeout=60) == [kind, code]
    assert app.send_task("noisy.size", ("next",)).get(timeout=60) == "next"
    eventually(lambda: daemon.logged(rf"once after {kind}\n"))
    assert daemon.text().count(f"once after {kind}\n") == 1
    assert not words or daemon.logged(rf"noisy.forks\[{result.id}\]: {words}\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("handlers", "changed signal handlers of its process; put back"),
        ("mask", "changed the signal mask of its process; put back"),
        ("alarm", "changed the alarm timer of its process; put back"),
        ("place", "changed the umask, the working directory of its process; put back"),
        ("stdout", "has left it unfit for others: sys.stdout or sys.stderr closed"),
        ("descriptors", "has left it unfit for others: stdin, stdout, stderr closed or replaced"),
    ],
)
def test_what_a_task_does_to_its_process_is_told_and_hurts_nobody(
    app: App, daemon: Workerd, kind: str, words: str
) -> None:
    result = app.send_task("noisy.spoils", (kind,))
    assert result.get(timeout=60) == kind
    eventually(lambda: daemon.logged(rf"noisy.spoils\[{result.id}\] {words}\n"))
    assert daemon.logged(rf"noisy.spoils\[{result.id}\]: spoils {kind}\n")


def test_a_task_that_closes_everything_fails_with_the_cause(app: App) -> None:
    result = failure(app, "noisy.spoils", "everything")
    assert "its job closed the socket to the supervisor" in str(result.result)


def test_arguments_and_results_of_64_megabytes_pass(app: App) -> None:
    text = "x" * (64 << 20)
    assert app.send_task("noisy.size", (text,)).get(timeout=60) == text
