"""The event loop and its timer, as steps use them in a real daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

LOOP = """
import datetime
import socket
import time
from functools import partial
from workerd import App, bootsteps

app = App("loop")


class Loop(bootsteps.StartStopStep):
    requires = ("Hub", "Timer")

    def start(self, worker):
        self.a, self.b = socket.socketpair()
        self.hub, self.timer = worker.hub, worker.timer
        self.hub.add_reader(self.a.fileno(), self.never, "replaced by the next")
        self.hub.add_reader(self.a, self.readable, "reader")
        self.hub.add_writer(self.a, self.never)
        self.hub.add_writer(self.a, self.writable)
        self.timer.call_after(0.01, self.never).cancel()
        now = time.monotonic()
        for priority in (5, 1, 3):
            self.timer.call_at(now, print, (f"priority {priority}",), priority=priority)
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.01)
        self.timer.call_at(at, self.told, ("datetime",), {"more": "kwargs"})
        self.again = self.timer.call_repeatedly(0.01, self.ticks)
        self.count = 0

    def stop(self, worker):
        self.again.cancel()
        self.hub.remove(self.a)
        self.a.close()
        self.b.close()

    def never(self, *args):
        print("never")

    def told(self, what, more):
        print(f"told {what} {more}")

    def ticks(self):
        self.count += 1
        if self.count == 2:
            self.again.cancel()
        raise LookupError(f"tick {self.count}")

    def writable(self):
        self.hub.remove_writer(self.a)
        self.b.send(b"x")
        print("writer")

    def readable(self, word):
        self.a.recv(1)
        print(word)
        self.hub.remove(self.a)
        self.b.send(b"y")  # nobody listens any more
        self.hub.call_soon(print, "soon")
        self.timer.call_after(0.02, print, ("the end",))


app.steps["worker"].add(Loop)
"""


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("loop.md")


def test_a_step_has_the_loop_call_it(short_dir: Path, make: Callable[..., Workerd]) -> None:
    (short_dir / "loopapp.py").write_text(LOOP)
    daemon = make(app="loopapp").start()
    eventually(lambda: daemon.logged("the end") and daemon.logged("tick 2"))
    assert daemon.stop() == 0

    words = re.findall(r"WARNING/MainProcess\] (.*)", daemon.text())
    assert [word for word in words if word.startswith("priority")] == [
        "priority 1",
        "priority 3",
        "priority 5",
    ]
    assert [word for word in words if word in ("writer", "reader", "soon", "the end", "never")] == [
        "writer",
        "reader",
        "soon",
        "the end",
    ]
    assert words.count("told datetime kwargs") == 1
    assert len(re.findall(r"Error in loopapp\.Loop\.ticks: LookupError\('tick \d'\)", daemon.text())) == 2
