"""An unmodified Flower in a real browser: what its pages show of a daemon of ours, and some of its buttons.

What was seen is kept below ``build/flower``, to be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.stock import ROOT
from tests.interop.test_flower import NODE, STATS, Garden, garden
from tests.support.browser import Browser, browser
from tests.support.eventually import eventually

__all__ = ["garden"]

pytestmark = pytest.mark.long

UNSET = {"Userid", "Login method", "URI prefix", "Credential provider"}
"""What Celery's workers tell of a Redis has nothing there either."""


class Visitor:
    """Somebody who looks at Flower's pages."""

    def __init__(self, window: Browser, garden: Garden, album: Path) -> None:
        self.window, self.garden, self._album = window, garden, album

    def open(self, page: str, seen: str) -> None:
        """A page; it is kept once it shows ``seen``."""
        self.window.open(f"{self.garden.flower.url}/{page}")
        eventually(lambda: seen in self.window.text("body"))
        self.keep(page.partition("/")[0])

    def keep(self, name: str) -> None:
        text = self.window.text("body")
        assert not re.search(r"undefined|NaN|\[object|Error 500|Unknown", text), f"{name}:\n{text}"
        self.window.shoot(self._album / f"{name}.png")

    def tab(self, name: str) -> str:
        """A tab of the node's page, with its text."""
        self.window.click(f"#worker-tab-{name}")
        # Until it has faded in nothing of it counts as seen.
        found: str = eventually(lambda: self.window.text(f"#tab-{name}"))
        self.keep(f"worker-{name}")
        return found

    def table(self, selector: str) -> dict[str, str]:
        """A table of names and values."""
        return {row[0]: row[1] for row in self.window.rows(selector) if len(row) == 2}

    def node(self) -> dict[str, Any]:
        """The node's page, opened with what its stats are now."""
        stats: dict[str, Any] = self.garden.node()["stats"]
        self.open(f"worker/{NODE}", "Prefetch Count")
        return stats

    def press(self, button: str, said: str) -> None:
        def clicked() -> bool:
            self.window.click(button)  # not while what an earlier one has said covers it
            return True

        eventually(clicked)
        eventually(lambda: said in self.window.text("#toast-container"))


@pytest.fixture
def visitor(garden: Garden, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visitor]:
    kind = "redis" if garden.redis else "rabbitmq"
    with browser(tmp_path / "browser") as window:
        yield Visitor(window, garden, ROOT / "build" / "flower" / f"{kind}-{request.function.__name__}")


def see_pool_and_broker(visitor: Visitor, garden: Garden) -> None:
    stats = visitor.node()
    [child] = garden.daemon.children()

    pool = visitor.table("#tab-pool table")
    visitor.keep("worker-pool")
    assert (pool["Max concurrency"], pool["Processes"]) == ("1", str(child["pid"]))
    assert (pool["Worker PID"], pool["Prefetch Count"]) == (
        str(garden.daemon.pid),
        str(stats["prefetch_count"]),
    )
    assert (pool["Timeouts"], pool["Max tasks per child"]) == ("0, 0", "N/A")
    visitor.tab("broker")
    of_broker = visitor.table("#tab-broker table")
    assert (of_broker["Hostname"], of_broker["Port"]) == ("127.0.0.1", str(stats["broker"]["port"]))
    unset = {name for name, value in of_broker.items() if value == "None"}
    assert unset <= UNSET


def see_tasks_and_settings(visitor: Visitor, garden: Garden, running: str, later: str) -> None:
    assert "celery" in visitor.tab("queues")
    told = visitor.tab("tasks")
    assert running in told and later in told
    assert visitor.table("#tab-tasks table")["ledger.hold"] == "1"
    assert "ledger.tidy" in visitor.tab("limits")
    visitor.tab("config")
    config = visitor.table("#tab-config table")
    assert config.keys() == {"broker_url", "result_backend"}
    assert config["broker_url"] == str(garden.daemon.broker).replace(":guest@", ":**@")
    visitor.tab("system")
    system = visitor.table("#tab-system table")
    assert system.keys() == STATS["rusage"].keys()
    assert re.fullmatch(r"[1-9][\d.]* m?s", system["utime"])
    visitor.tab("other")
    assert visitor.table("#tab-other table").keys() == {"uptime", "delayed"}


def test_pages(visitor: Visitor, garden: Garden) -> None:
    running, gate = garden.hold(1)
    later = garden.send("add", 1, 2, countdown=55)
    failed = garden.send("boom", "no such luck")
    added = garden.send("add", 2, 3)
    garden.task(later, "RECEIVED")
    see_pool_and_broker(visitor, garden)
    see_tasks_and_settings(visitor, garden, running, later)

    gate.touch()
    garden.result(running)
    for task_id, state in ((running, "SUCCESS"), (failed, "FAILURE"), (added, "SUCCESS")):
        garden.task(task_id, state)
    visitor.open("tasks", later)
    shown = {row[1]: row for row in visitor.window.rows("#tasks-table")}
    assert (shown[failed][0], shown[failed][2], shown[failed][5]) == ("ledger.boom", "FAILURE", NODE)
    assert (shown[later][2], shown[later][4]) == ("RECEIVED", "")
    assert re.fullmatch(r"[\d.]+ m?s", shown[added][4])
    visitor.open("workers", NODE)
    known = garden.flower.get("/api/tasks")
    ended = [task["state"] for task in known.values()]
    eventually(
        lambda: (
            visitor.window.rows("#workers-table tbody")[0][:6]
            == [NODE, "Online", "0", str(len(known)), "1", str(ended.count("SUCCESS"))]
        )
    )
    assert re.fullmatch(r"[\d.]+(\s+[\d.]+){2}", visitor.window.rows("#workers-table tbody")[0][6])
    visitor.keep("workers")
    visitor.open(f"task/{failed}", "ValueError: no such luck")
    if garden.redis:  # RabbitMQ tells of its queues over HTTP, which is none of a node's business
        visitor.open("broker", "celery")


def test_buttons(visitor: Visitor, garden: Garden) -> None:
    window = visitor.window
    visitor.node()
    window.write("#pool-size", "2")
    visitor.press("#worker-pool-grow", f"Growing '{NODE}' worker's pool by 2")
    visitor.keep("worker-grown")
    eventually(lambda: garden.pool["alive"] == 3)
    visitor.node()
    assert visitor.table("#tab-pool table")["Max concurrency"] == "3"
    visitor.press("#worker-pool-shrink", f"Shrinking '{NODE}' worker's pool by 1")
    eventually(lambda: garden.pool["alive"] == 2)
    window.write("#min-autoscale", "1")
    window.write("#max-autoscale", "4")
    visitor.press("#worker-pool-autoscale", f"Autoscaling '{NODE}' worker (min=1, max=4)")
    assert (garden.pool["lower"], garden.pool["upper"]) == (1, 4)
    visitor.tab("queues")
    window.write("#add-consumer-name", "extra")
    visitor.press("#worker-add-consumer", "add consumer extra")
    visitor.tab("limits")
    window.write('[aria-label="Rate limit for ledger.add"]', "200")
    visitor.press('[id="task-rate-limit-ledger.add"]', "new rate limit set successfully")
    window.write('[aria-label="Timeout for ledger.add"]', "50")
    visitor.press('[id="task-timeout-soft-ledger.add"]', "time limits set successfully")
    status = garden.daemon.status()
    assert status["limits"]["ledger.add"]["soft"] == 50.0
    assert status["rates"]["ledger.add"]["rate"] == "200/s"
    visitor.node()
    assert "AUTOSCALER OPTIONS" in window.text("#tab-pool")
    visitor.keep("worker-autoscaler")
    assert "ledger.add [rate_limit=200]" in visitor.tab("limits")
    visitor.tab("queues")
    visitor.press("#worker-cancel-consumer-extra", "no longer consuming from extra")
    assert "extra" not in garden.pool["queues"]
    before = garden.pool["generation"]
    window.click("#worker-group")
    visitor.press("#worker-pool-restart", f"Restarting '{NODE}' worker's pool")
    eventually(lambda: garden.pool["generation"] == before + 1)

    runs, _ = garden.hold(2)
    garden.task(runs, "STARTED")
    visitor.open(f"task/{runs}", "STARTED")
    visitor.press("#task-terminate", f"Revoked '{runs}'")
    garden.task(runs, "REVOKED")
    visitor.open(f"task/{runs}", "REVOKED")

    visitor.node()
    window.click("#worker-group")
    visitor.press("#worker-shutdown", "Shutting down!")
    assert garden.daemon.wait() == 0
    visitor.open("workers", "Offline")
