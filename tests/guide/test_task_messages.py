"""Tasks that a step looks at before they run, and all else that a consumer step finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

FINDS = {
    "workerd.worker:Hub": "hub",
    "workerd.worker.components:Timer": "timer",
    "workerd.worker.components:Pool": "pool",
    "workerd.worker.consumer:Connection": "connection",
    "workerd.worker.consumer:Events": "event_dispatcher",
    "workerd.worker.consumer:Gossip": "gossip",
    "workerd.worker.consumer:Heart": "heart",
    "workerd.worker.consumer:Tasks": "task_consumer",
}
"""What a step may require, and the attribute that it is promised for it."""

ALWAYS = [
    "app",
    "controller",
    "hostname",
    "blueprint",
    "strategies",
    "task_buckets",
    "qos",
    "on_task_message",
]

APP = f"""
from workerd import App, bootsteps

app = App("finding")
FINDS, ALWAYS = {FINDS!r}, {ALWAYS!r}


@app.task
def add(x, y):
    return x + y


def step_for(path):
    class Finds(bootsteps.StartStopStep):
        requires = (path,)
        name = f"finding.{{path}}"

        def start(self, c):
            for found in [FINDS[path], *ALWAYS]:
                print(f"{{found}} of {{path}}: {{type(getattr(c, found)).__name__}}")

    return Finds


class Watch(bootsteps.StartStopStep):
    requires = ("Tasks", "Pool")

    def start(self, c):
        assert c is self.c and c.app is self.app is app and c.controller.consumer is c
        c.on_task_message.add(self.see)
        c.on_task_message.add(self.fail)

    def see(self, request):
        waits = request in self.c.controller.reserved_requests
        print(f"seen {{request.title}} {{request.time_start}} {{waits}}")

    def fail(self, request):
        raise LookupError("of a callback")


app.steps["consumer"].update(map(step_for, FINDS))
app.steps["consumer"].add(Watch)
"""


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("task-messages.md")


def test_a_consumer_step_finds_what_it_requires_and_is_told_of_each_request_over_every_link(
    short_dir: Path, make: Callable[..., Workerd], redis_url: str
) -> None:
    (short_dir / "finding.py").write_text(APP)
    daemon = make(app="finding", broker=redis_url, backend=redis_url).start(size="1")
    with daemon.client() as client:
        assert client.send_task("finding.add", (1, 2), task_id="one").get(timeout=30) == 3
        # Before it is run: no child has it, and it is among those that wait.
        eventually(lambda: daemon.logged(r"seen finding\.add\[one\] None True"))
        eventually(lambda: daemon.logged(r"Error in finding\.Watch\.fail: LookupError\('of a callback'\)"))
        client.send_task("finding.add", (1, 2), task_id="late", countdown=60)
        eventually(lambda: daemon.logged(r"seen finding\.add\[late\] None True"))
    assert daemon.stop() == 0
    for path, attribute in FINDS.items():
        for one in [attribute, *ALWAYS]:
            assert daemon.logged(rf"{one} of {path}: (?!NoneType)\w+"), (one, path)
    assert daemon.text().count("seen finding.add[one]") == 1


@pytest.mark.parametrize("required", ["workerd.worker.consumer:Gossip", "Gossip"])
def test_a_worker_step_that_requires_a_consumer_step_is_told_where_it_belongs(
    short_dir: Path, make: Callable[..., Workerd], required: str
) -> None:
    step = f"class Odd(bootsteps.StartStopStep):\n    requires = ({required!r},)\n"
    text = f"from workerd import App, bootsteps\n{step}app = App('odd')\napp.steps['worker'].add(Odd)\n"
    (short_dir / "odd.py").write_text(text)
    refused = make(app="odd").run("start", "--dry", "-A", "odd")
    assert refused.returncode == 78
    assert "step odd.Odd requires 'Gossip', which starts after the Worker blueprint" in refused.stderr
