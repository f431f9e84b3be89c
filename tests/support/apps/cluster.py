"""An app whose daemons share a rate among them, by a step that was written for Celery's extension guide.

As there, what a lost node sets off is called without the argument that it wants.
"""

from __future__ import annotations

from typing import Any

from workerd import App, bootsteps

app = App("cluster")


@app.task(name="proj.tasks.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="proj.tasks.mul")
def mul(x: int, y: int) -> int:
    return x * y


class RatelimitStep(bootsteps.StartStopStep):
    requires = ("workerd.worker.consumer:Gossip",)

    def start(self, c: Any) -> None:
        self.c = c
        self.c.gossip.on.node_join.add(self.on_cluster_size_change)
        self.c.gossip.on.node_leave.add(self.on_cluster_size_change)
        self.c.gossip.on.node_lost.add(self.on_node_lost)
        self.tasks = [self.app.tasks["proj.tasks.add"], self.app.tasks["proj.tasks.mul"]]
        self.last_size = None

    def on_cluster_size_change(self, worker: Any) -> None:
        cluster_size = len(self.c.gossip.state.alive_workers())
        if cluster_size != self.last_size:
            for task in self.tasks:
                task.rate_limit = 1.0 / cluster_size
            self.c.reset_rate_limits()
            self.last_size = cluster_size

    def on_node_lost(self, worker: Any) -> None:
        print(f"lost {worker.hostname}, alive: {worker.alive}")
        self.c.timer.call_after(10.0, self.on_cluster_size_change)


app.steps["consumer"].add(RatelimitStep)
