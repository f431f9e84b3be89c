"""What a worker step finds: every attribute, under every name by which its step can be required."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Workerd
from workerd.bootsteps.steps import Step, alias_of, import_attr

PATHS = {
    "workerd.worker:Hub": "Hub",
    "workerd.worker.components:Hub": "Hub",
    "workerd.worker.components:Timer": "Timer",
    "workerd.worker.components:Pool": "Pool",
    "workerd.worker.components:StateDB": "StateDB",
    "workerd.worker.components:Statedb": "StateDB",
    "workerd.worker.components:Beat": "Beat",
    "workerd.worker.autoscaler:Autoscaler": "Autoscaler",
    "workerd.worker.autoreloader:Autoreloader": "Autoreloader",
    "workerd.worker.consumer:Connection": "Connection",
    "workerd.worker.consumer:Events": "Events",
    "workerd.worker.consumer:Heart": "Heart",
    "workerd.worker.consumer:Mingle": "Mingle",
    "workerd.worker.consumer:Gossip": "Gossip",
    "workerd.worker.consumer:Tasks": "Tasks",
    "workerd.worker.consumer:Control": "Control",
    "workerd.worker.consumer:Agent": "Agent",
    "workerd.bootstep:ConsumerStep": "ConsumerStep",
}

ATTRIBUTES = """
import inspect
from workerd import App, bootsteps
from workerd.worker import WorkController

app = App("attributes")
NAMES = ["app", "hostname", "config", "state", "blueprint", "hub", "timer", "statedb", "pool", "pools",
         "autoscaler", "autoreloader", "active_requests", "reserved_requests", "scheduled_requests",
         "use_eventloop", "consumer"]


class Looks(bootsteps.StartStopStep):
    requires = ({requires})

    def __init__(self, worker):
        assert isinstance(worker, WorkController) and worker is self.worker and worker.app is self.app is app
        for name in NAMES:
            try:
                print(f"{{name}}: {{type(getattr(worker, name)).__qualname__}}")
            except AttributeError as exc:
                print(f"{{name}}: {{exc}}")

    def start(self, worker):
        print(f"consumer at start: {{type(worker.consumer).__qualname__}}")
        worker.statedb.write("CREATE TABLE mine (n INTEGER)")
        worker.statedb.write("INSERT INTO mine VALUES (?)", 7)
        print(f"rows: {{worker.statedb.read('SELECT n FROM mine')}}")


app.steps["worker"].add(Looks)
""".format(
    requires=", ".join(
        repr(path) for path in PATHS if not path.startswith(("workerd.worker.consumer:", "workerd.bootstep:"))
    )
)


def test_the_chapter(follow: Callable[[str], None]) -> None:
    follow("worker.md")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", [":", "."])
def test_a_path_of_the_guide_leads_to_its_step(path: str, form: str) -> None:
    step = import_attr(path.replace(":", form))

    assert issubclass(step, Step)
    assert alias_of(step) == PATHS[path]


def test_every_attribute_is_there_for_a_step_that_requires_it(
    short_dir: Path, make: Callable[..., Workerd]
) -> None:
    (short_dir / "looksapp.py").write_text(ATTRIBUTES)
    daemon = make(app="looksapp").start(ready=False, size="1-2")
    daemon.wait_ready()
    assert daemon.stop() == 0

    found = dict(line.split(": ", 1) for line in daemon.text().splitlines() if line[:1].islower())
    assert found["consumer"] == (
        "WorkController has no 'consumer' yet: its step Consumer makes it; read it in start or later"
    )
    assert found | {"consumer": ""} == {
        "app": "App",
        "hostname": "str",
        "config": "Config",
        "state": "State",
        "blueprint": "Blueprint",
        "hub": "Hub",
        "timer": "Timer",
        "statedb": "Database",
        "pool": "NamedPool",
        "pools": "Pools",
        "autoscaler": "Autoscaler",
        "autoreloader": "NoneType",
        "active_requests": "list",
        "reserved_requests": "list",
        "scheduled_requests": "list",
        "use_eventloop": "bool",
        "consumer": "",
    }
    assert daemon.logged("consumer at start: Consumer")
    assert daemon.logged(r"rows: \[\(7,\)\]")
