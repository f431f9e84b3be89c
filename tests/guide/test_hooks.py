"""The life of a step: every method at its time, and what the daemon makes of one that raises or hangs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

HOOKS = """
import os
import time
from workerd import App, bootsteps

app = App("hooks")


class InfoStep(bootsteps.Step):
    def __init__(self, parent, **kwargs):
        print(f"{parent!r} is in init")

    def start(self, parent):
        print(f"{parent!r} is starting")

    def stop(self, parent):
        print(f"{parent!r} is stopping")

    def shutdown(self, parent):
        print(f"{parent!r} is shutting down")


class ExampleWorkerStep(bootsteps.StartStopStep):
    requires = ("Pool",)

    def __init__(self, worker, **kwargs):
        print(f"made with {kwargs!r}")

    def create(self, worker):
        return self

    def start(self, worker):
        print("started")

    def stop(self, worker):
        print("shut down")

    def terminate(self, worker):
        print("terminated")


class MyBootstep(bootsteps.Step):
    def __init__(self, worker, enable_my_option=False, **options):
        print(f"my option: {enable_my_option}, {self.app.main}, {self.worker is worker}")


class Out(bootsteps.StartStopStep):
    def include_if(self, worker):
        return False

    def start(self, worker):
        print("out, and started")


class Faulty(bootsteps.StartStopStep):
    def close(self, parent):
        raise RuntimeError("in close")

    def stop(self, parent):
        raise RuntimeError("in stop")

    def shutdown(self, parent):
        raise RuntimeError("in shutdown")

    def info(self, parent):
        raise RuntimeError("in info")


class Told(bootsteps.StartStopStep):
    def info(self, parent):
        return {"told": [1, "two"], "odd": object}


class Flaky(bootsteps.StartStopStep):
    requires = ("Connection",)
    starts = 0

    def start(self, c):
        self.starts += 1
        print(f"flaky start {self.starts}")
        if self.starts == 2:
            raise RuntimeError("not this time")

    def stop(self, c):
        print(f"flaky stop {self.starts}")


app.steps["worker"].update([InfoStep, ExampleWorkerStep, MyBootstep, Out, Faulty, Told])
app.steps["consumer"].update([InfoStep, Flaky])
"""

ENDING = """
from workerd import App, bootsteps

class Fine(bootsteps.StartStopStep):
    requires = ({requires})
    def start(self, parent): print("fine starts")
    def stop(self, parent): print("fine stops")

class Odd(bootsteps.StartStopStep):
    requires = (Fine,)
    def {hook}(self, parent, *hub):
        {body}

app = App("ending")
app.steps["{blueprint}"].update([Fine, Odd])
"""

Write = Callable[[str], Workerd]


@pytest.fixture
def write(short_dir: Path, make: Callable[..., Workerd]) -> Write:
    """A daemon, not started, of an app with this text."""

    def one(text: str) -> Workerd:
        (short_dir / "hooksapp.py").write_text(text)
        return make(app="hooksapp")

    return one


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("hooks.md")


def test_every_hook_comes_at_its_time_and_one_that_raises_costs_the_others_nothing(write: Write) -> None:
    daemon = write(HOOKS).start("-l", "debug")
    assert daemon.status()["info"] == {"Told": {"told": [1, "two"], "odd": "<class 'object'>"}}
    next(process for process in daemon.descendants() if "valkey" in process.name()).kill()
    eventually(lambda: daemon.logged("flaky start 3") and daemon.status()["link"]["state"] == "up")
    assert daemon.stop() == 0
    text = daemon.text()

    moments = re.findall(r"<(\w+): \S+ \(\w+\)> is (in init|starting|stopping|shutting down)", text)
    assert moments[:4] == [
        ("Worker", "in init"),
        ("Consumer", "in init"),
        ("Worker", "starting"),
        ("Consumer", "starting"),
    ]
    assert moments[-4:] == [
        ("Consumer", "stopping"),
        ("Consumer", "shutting down"),
        ("Worker", "stopping"),
        ("Worker", "shutting down"),
    ]
    lines = [line for line in text.splitlines() if "> is " in line]
    assert [line[0] for line in lines[:4]] == ["<", "<", "[", "["], (
        "plainly before the start, then in the log"
    )
    assert all("WARNING/MainProcess] <" in line for line in lines[2:])

    assert "| Worker: New boot order: {Hub, Timer, " in text and "^-- substep ok" in text
    assert "| Consumer: Starting InfoStep" in text and "| Consumer: Restarting InfoStep..." in text

    assert "made with {}" in text and "my option: False, hooks, True" in text
    assert "out, and started" not in text and "terminated" not in text
    assert text.index("] started") < text.index("] shut down")
    for hook, words in {"close": "closing", "stop": "stopping", "shutdown": "shutdown"}.items():
        assert f"Error on {words} Faulty: RuntimeError('in {hook}')" in text
    assert "Error on info of Faulty: RuntimeError('in info')" in text
    assert re.findall(r"flaky \w+ \d", text) == [
        "flaky start 1",
        "flaky stop 1",
        "flaky start 2",
        "flaky start 3",
        "flaky stop 3",
    ]
    assert "A step of the consumer failed: RuntimeError('not this time')" in text
    assert "raised by the start of Flaky, a step of the Consumer blueprint" in text


@pytest.mark.parametrize(
    ("blueprint", "hook", "body", "code", "started"),
    [
        ("worker", "__init__", "raise RuntimeError('odd')", 70, 0),
        ("worker", "start", "raise RuntimeError('odd')", 70, 1),
        ("worker", "register_with_event_loop", "raise RuntimeError('odd')", 70, 1),
        ("consumer", "create", "raise RuntimeError('odd')", 70, 0),
        ("consumer", "start", "raise RuntimeError('odd')", 70, 1),
        ("consumer", "register_with_event_loop", "raise RuntimeError('odd')", 70, 1),
        ("worker", "start", "raise SystemExit(4)", 4, 1),
    ],
)
def test_a_step_that_raises_at_the_start_is_named_and_what_had_started_is_stopped(
    write: Write, blueprint: str, hook: str, body: str, code: int, started: int
) -> None:
    requires = '"Pool",' if blueprint == "worker" else '"Connection",'
    text = ENDING.format(blueprint=blueprint, hook=hook, body=body, requires=requires)
    daemon = write(text).start(ready=False)

    assert daemon.wait() == code
    assert daemon.text().count("fine starts") == daemon.text().count("fine stops") == started
    made = {"__init__": "while", "create": "while", "start": "by the start of"}.get(hook, f"by {hook} of")
    assert daemon.logged(rf"raised {made} Odd, a step of the {blueprint.capitalize()} blueprint")
    if code == 70:
        assert daemon.logged(r'File ".*hooksapp\.py", line \d+, in ' + hook)


def test_a_start_that_does_not_return_ends_with_the_first_word_of_a_stop(write: Write) -> None:
    body = "print('waiting'); import threading; threading.Event().wait()"
    daemon = write(ENDING.format(blueprint="worker", hook="start", body=body, requires='"Pool",'))
    daemon.start(ready=False)
    eventually(lambda: daemon.logged("waiting"))
    os.kill(daemon.pid, signal.SIGTERM)

    assert daemon.wait() == 0
    assert daemon.logged("fine stops")


def test_a_stop_that_does_not_return_is_left_with_its_traceback_and_quit_terminates(write: Write) -> None:
    body = "import threading; threading.Event().wait()"
    daemon = write(ENDING.format(blueprint="worker", hook="terminate", body=body, requires='"Pool",'))
    daemon.start(env={"WORKERD_DRAIN__GRACE": "0"})
    os.kill(daemon.pid, signal.SIGQUIT)

    assert daemon.wait(within=10) == 0
    assert daemon.logged(r"Error on terminating Odd: TimeoutError\('not over after .* seconds, and left'\)")
    assert daemon.logged(r'File ".*hooksapp\.py", line \d+, in terminate')
    assert daemon.logged("fine stops")
