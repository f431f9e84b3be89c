"""Signals: the chapter, and each signal of it at its moment, in its process, with its words."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

from tests.guide.conftest import GUIDE
from tests.support.daemon import Workerd
from workerd import signals

TABLES = re.findall(r"^\| `(\w+)` \|(.*)\|$", (GUIDE / "signals.md").read_text(), flags=re.MULTILINE)
"""(signal, the other cells of its row)."""

NOT_SENT = {"beat_init", "beat_embedded_init"}


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("signals.md")


def test_every_signal_has_its_row_with_all_its_words() -> None:
    assert {name for name, _ in TABLES} | NOT_SENT == {*signals.__all__} - {"Signal"}
    for name, cells in TABLES:
        said = getattr(signals, name).says
        if name not in ("after_setup_logger", "after_setup_task_logger"):
            assert all(f"`{word}`" in cells for word in said), name


APP = """
import json, os, threading, time
from workerd import App, Reject, signals

app = App("heard")
CHANGED = "as imported"


def note(name, words):
    shown = {key: repr(value) for key, value in words.items() if key != "signal"}
    with open(os.environ["HEARD"], "a") as file:
        file.write(json.dumps([name, os.getpid(), os.getppid(), shown]) + "\\n")


for one in signals.__all__:
    if one not in ("Signal", "setup_logging"):
        getattr(signals, one).connect(lambda one=one, **words: note(one, words), weak=False)


@signals.celeryd_init.connect
def change(conf, **words):
    conf.task_repr_maxlevels = 7


@signals.task_received.connect
def break_down(**words):
    raise ValueError("a receiver breaks down")


@app.task
def add(x, y):
    return x + y


@app.task
def levels():
    return app.conf.task_repr_maxlevels


@app.task
def fail():
    raise KeyError("no")


@app.task(bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0)


@app.task
def reject():
    raise Reject("for good")


@app.task(time_limit=0.5)
def hang():
    time.sleep(60)
"""


class Heard:
    """What the receivers of every process have noted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self, name: str) -> list[tuple[int, int, dict[str, str]]]:
        """(pid, parent's pid, words) of each time that this signal was heard."""
        rows = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [(pid, parent, words) for one, pid, parent, words in rows if one == name]

    def names(self, pid: int) -> list[str]:
        """The signals that one process has heard, in order."""
        rows = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [name for name, heard_by, *_ in rows if heard_by == pid]


def test_every_signal_is_sent_at_its_moment_in_its_process(
    make: Callable[..., Workerd],
) -> None:
    daemon = make(app="heard")
    (daemon.home / "heard.py").write_text(APP)
    heard = Heard(daemon.home / "heard.log")
    daemon.env |= {"HEARD": str(daemon.home / "heard.log")}
    daemon.start(size="1")
    client = daemon.client()

    assert client.send_task("heard.add", (1, 2)).get(timeout=30) == 3
    assert client.send_task("heard.levels").get(timeout=30) == 7
    for name in ("fail", "again", "reject", "nobody", "hang"):
        client.send_task(f"heard.{name}").get(timeout=30, propagate=False)
    client.send_task("heard.add", (1, 2), expires=-1).get(timeout=30, propagate=False)
    main = daemon.pid
    assert daemon.stop() == 0

    check_daemon(heard, main)
    check_children(heard, main)
    assert "of task_received raised ValueError('a receiver breaks down')" in daemon.text()


LIFE = [
    "user_preload_options",
    "import_modules",
    "celeryd_init",
    "worker_init",
    "after_setup_logger",
    "after_setup_task_logger",
    "celeryd_after_setup",
    "worker_ready",
    "worker_shutting_down",
    "worker_shutdown",
]
"""What the daemon sends once each, in this order."""


def check_daemon(heard: Heard, main: int) -> None:
    once = [name for name in heard.names(main) if name in LIFE]
    assert once == LIFE
    node = repr(f"main@{socket.gethostname()}")
    (stop,) = [words for *_, words in heard.all("worker_shutting_down")]
    assert stop == {"sender": node, "sig": "'SIGTERM'", "how": "'Warm'", "exitcode": "0"}
    for name in ("worker_before_create_process", "task_received", "heartbeat_sent"):
        assert {pid for pid, *_ in heard.all(name)} == {main}, name
    assert [words["name"] for *_, words in heard.all("task_unknown")] == ["'heard.nobody'"]
    assert [words["expired"] for *_, words in heard.all("task_revoked")] == ["True"]
    failed = [words["exception"] for pid, _, words in heard.all("task_failure") if pid == main]
    assert failed == ["Reject('for good', False)", "TimeLimitExceeded(0.5)"]


def check_children(heard: Heard, main: int) -> None:
    children = {pid for pid, *_ in heard.all("worker_process_init")}
    # The second one is there because the first was killed over a hard limit.
    assert len(children) == 2 and main not in children
    for name in ("task_prerun", "task_success", "task_retry", "task_postrun"):
        assert {pid for pid, *_ in heard.all(name)} <= children, name
    failed = [words["exception"] for pid, _, words in heard.all("task_failure") if pid in children]
    assert failed == ["KeyError('no')"]
    assert [words["reason"] for *_, words in heard.all("task_retry")] == ["Retry(None, None, 0)"]
    ends = [words["state"] for *_, words in heard.all("task_postrun")]
    assert ends == ["'SUCCESS'", "'SUCCESS'", "'FAILURE'", "'RETRY'", "'SUCCESS'", "'REJECTED'"]
    # The retry is sent by the child; its template has loaded the app too.
    assert {pid for pid, *_ in heard.all("before_task_publish")} < children
    templates = {pid for pid, *_ in heard.all("import_modules")} - {main}
    assert len(templates) == 1 and not templates & children
    (gone,) = heard.all("worker_process_shutdown")
    assert gone[0] in children and gone[2]["pid"] == str(gone[0])
