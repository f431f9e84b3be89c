"""The operator's verbs against a control socket, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.control.served import Served
from tests.support.eventually import eventually
from workerd.cli import main
from workerd.cli.ending import wait_for_end


@pytest.fixture
def served(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("WORKERD_RUNTIME_DIR", str(short_dir))
    (short_dir / "main").mkdir()
    one = Served(short_dir / "main" / "control.sock")
    one.start()
    yield one
    one.end()


class Typed:
    """A verb that runs while the test plays the daemon."""

    def __init__(self, *argv: str) -> None:
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run, args=(argv,))
        self._thread.start()

    def _run(self, argv: tuple[str, ...]) -> None:
        self.code = main(argv)

    def end(self) -> int | None:
        self._thread.join(20.0)
        return self.code


def subscribed(served: Served) -> Callable[[], bool]:
    return lambda: bool(served.daemon.subscribers)


def test_status_shows_a_table_and_json_for_programs(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith("main: running")
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "running"


def test_options_are_taken_before_the_verb_and_after_it(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--name", "other", "status"]) == 69
    assert main(["status", "--name", "other"]) == 69
    assert main(["--name", "other", "status", "--name", "main"]) == 0
    assert "no daemon named 'other' runs" in capsys.readouterr().err


def test_the_name_may_stand_in_the_settings_file(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.toml"
    file.write_text('name = "filed"\n')

    assert main(["status", "--config", str(file)]) == 69
    assert "no daemon named 'filed' runs" in capsys.readouterr().err


@pytest.mark.parametrize("spec", ["4", "+2"])
def test_scale_tells_the_new_size(spec: str, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", spec]) == 0
    assert capsys.readouterr().out == "size 4: 4 slots wanted, 2 before\n"


def test_scale_takes_a_step_down(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "-1"]) == 0
    assert served.daemon.bounds == (1, 1)


def test_scale_names_a_pool_before_the_size(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "video", "1-3"]) == 0
    assert served.daemon.asked == [("scale", "1-3", "video", False)]
    assert capsys.readouterr().out == "pool video, size 1-3: 1 slot wanted, 2 before\n"


def test_a_dry_run_tells_what_would_happen(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "-1", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "size 1: 1 slot would be wanted, 2 now (2 alive)",
        "  child 2 (pid 9) would leave at once",
    ]
    assert main(["scale", "--dry-run", "+2"]) == 0
    assert "  2 would start" in capsys.readouterr().out
    assert served.daemon.bounds == (2, 2)


@pytest.mark.parametrize(
    ("words", "asked", "said"),
    [
        (["--rate", "9/m"], (None, None, "9/m", False), "rate limit 9/m (set by an operator); 1 running"),
        ([], (None, None, None, False), "soft limit none, hard limit none; 1 running"),
        (
            ["--soft", "90s", "--hard", "2m"],
            (90.0, 120.0, None, False),
            "soft limit 90s, hard limit 120s (set by an operator); 1 running",
        ),
        (["--hard", "none"], (None, 0.0, None, False), "(set by an operator); 1 running"),
        (["--reset"], (None, None, None, True), "soft limit none, hard limit none; 1 running"),
    ],
)
def test_limit_changes_the_limits_of_a_task(
    words: list[str],
    asked: tuple[object, ...],
    said: str,
    served: Served,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["limit", "proj.add", *words]) == 0
    assert served.daemon.asked == [("limit", "proj.add", *asked)]
    assert capsys.readouterr().out.endswith(f"{said}\n")


@pytest.mark.parametrize("words", [["--soft", "soon"], ["--reset", "--hard", "1"]])
def test_limits_that_cannot_be_are_refused(
    words: list[str], served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["limit", "proj.add", *words]) == 2
    assert served.daemon.asked == []


def test_terminate_says_what_was_done(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["terminate", "4f2a"]) == main(["terminate", "4f2a", "--kill"]) == 0
    assert capsys.readouterr().out == "4f2a: interrupted\n4f2a: killed\n"


@pytest.mark.parametrize("words", [[], ["video", "1", "2"]])
def test_scale_needs_a_size_and_at_most_a_pool(
    words: list[str], served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", *words]) == 2
    assert "Write [POOL] SPEC, such as `workerd scale 8`." in capsys.readouterr().err


def test_a_size_that_cannot_be_read_is_a_usage_error(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "lots"]) == 2
    assert capsys.readouterr().err == "workerd: size 'lots' cannot be read; write 8, +2, -1 or 2-8\n"


def test_stop_counts_down_and_ends_with_the_daemons_code(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process behind the socket is the test's own, which goes on.
    monkeypatch.setattr("workerd.cli.verbs.stop.wait_for_end", lambda pid: True)
    typed = Typed("stop", "--timeout", "1m")
    eventually(subscribed(served))

    served.tell(event="draining", waiting_for=["proj.add[4f2a]"], seconds_left=59.7)
    served.tell(event="stopped", code=75)

    assert typed.end() == 75
    assert served.daemon.asked == [("stop", False, 60.0)]
    out = capsys.readouterr().out
    assert "draining: waiting for proj.add[4f2a] (60 s left)\n" in out
    assert out.endswith("stopped with exit code 75: what had not finished was given back to the broker\n")


def test_a_reload_that_fails_shows_the_apps_traceback_and_exits_1(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed("reload")
    done = eventually(lambda: served.daemon.reload_done)

    served.loop.do(lambda: done(False, "proj: no; old code serves", "Traceback\nSyntaxError: bad"))

    assert typed.end() == 1
    err = capsys.readouterr().err
    assert "SyntaxError: bad\nworkerd: proj: no; old code serves\n" in err


def test_a_reload_waits_until_the_new_code_serves(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed("reload")
    done = eventually(lambda: served.daemon.reload_done)

    served.loop.do(lambda: done(True, "generation 2 serves", ""))

    assert typed.end() == 0
    assert capsys.readouterr().out == "reloaded: generation 2 serves\n"


def test_a_reload_with_wait_says_once_for_whom_it_waits(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed("reload", "--wait")
    done = eventually(lambda: served.daemon.reload_done)
    assert served.daemon.asked == [("reload", True)]

    for waiting_for in (["proj.add[4f2a]"], ["proj.add[4f2a]"], []):
        fact = {"event": "older", "children": 1 + len(waiting_for), "waiting_for": waiting_for}
        served.loop.do(lambda fact=fact: served.daemon.tell(**fact))  # type: ignore[misc]
    served.loop.do(lambda: done(True, "generation 2 serves; no older child is left", ""))

    assert typed.end() == 0
    told = capsys.readouterr()
    assert told.err == "waiting for 2 older children: proj.add[4f2a]\nwaiting for 1 older child\n"
    assert told.out == "reloaded: generation 2 serves; no older child is left\n"


def test_a_restart_waits_until_another_incarnation_answers(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed("restart")
    eventually(subscribed(served))

    def start_anew() -> None:
        served.server.close()
        served.server.incarnation = "another"
        served.server.start()

    served.loop.do(start_anew)

    assert typed.end() == 0
    assert capsys.readouterr().out == f"restarted (pid {os.getpid()})\n"


def test_a_restart_whose_new_code_does_not_start_exits_1(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed("restart")
    eventually(subscribed(served))

    served.tell(event="restart-failed", error="the new code does not start", traceback="T")

    assert typed.end() == 1
    assert capsys.readouterr().err == ("T\nworkerd: the new code does not start; the old code goes on\n")


def test_the_end_of_a_process_is_seen() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not wait_for_end(process.pid, within=0.0)

    process.communicate(b"\n")

    assert wait_for_end(process.pid, within=20.0)
    assert not wait_for_end(0)


def test_status_imports_nothing_heavy(served: Served) -> None:
    code = "import sys; from workerd.cli import main; main(['status']); print(*sys.modules, sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    loaded = {line.partition(".")[0] for line in done.stdout.splitlines()} | set(done.stdout.splitlines())
    heavy = {"kombu", "celery", "redis", "amqp", "billiard", "msgspec", "asyncio", "psutil", "workerd.config"}
    assert loaded & (heavy | {"workerd.app", "workerd.worker", "workerd.control.server"}) == set()
    assert "workerd.control.client" in loaded
