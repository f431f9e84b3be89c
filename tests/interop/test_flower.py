"""An unmodified Flower beside a daemon of ours: what it shows of it, and what its buttons do there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.interop.flowers import Flower, Page, flower
from tests.support.brokers import empty_broker
from tests.support.daemon import Workerd, running
from tests.support.eventually import eventually
from tests.unit.protocol.wire_vectors import vector

NODE = f"main@{os.uname().nodename}"
STATS = vector("control-inspect-replies")["replies"]["stats"]["reply_body"]["worker1@example.com"]


class Garden:
    """A Flower, and a daemon with one slot."""

    def __init__(self, flower: Flower, daemon: Workerd, home: Path) -> None:
        self.flower, self.daemon, self._home = flower, daemon, home
        self.redis = str(daemon.broker).startswith("redis")

    @property
    def pool(self) -> dict[str, Any]:
        """As the daemon itself tells of it."""
        found: dict[str, Any] = self.daemon.status()["pools"][0]
        return found

    def node(self) -> Page:
        """What Flower shows of the daemon, asked now."""
        found: Page = self.flower.get("/api/workers", refresh=1, workername=NODE)[NODE]
        return found

    def press(self, button: str, **form: Any) -> str:
        """One of the node's buttons; what it says then."""
        return str(self.flower.press(f"/api/worker/{button}/{NODE}", **form)["message"])

    def limit(self, kind: str, **form: Any) -> str:
        """One of the buttons of ledger.add."""
        path = f"/api/task/{kind}/ledger.add"
        return str(self.flower.press(path, workername=NODE, **form)["message"])

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """The id of a call that Flower has sent."""
        return str(self.flower.call(f"/api/task/send-task/ledger.{name}", args=args, **options)["task-id"])

    def hold(self, number: int) -> tuple[str, Path]:
        """The id of a task that runs until the file is there; it runs already."""
        gate = self._home / f"gate{number}"
        held = self.send("hold", number, str(gate))
        eventually(lambda: self.daemon.ran("start")[number])
        return held, gate

    def task(self, task_id: str, state: str) -> Page:
        """What Flower shows of a task, once it has come to this state."""

        def come() -> Page:
            found = self.flower.get(f"/api/task/info/{task_id}")
            assert found["state"] == state
            return found

        return eventually(come)

    def result(self, task_id: str) -> Page:
        """How a task has ended, as its result says."""

        def come() -> Page:
            found = self.flower.get(f"/api/task/result/{task_id}")
            # It reads the state first and then whether there is a result, which may have come in between.
            assert "result" in found and found["state"] in ("SUCCESS", "FAILURE", "REVOKED")
            return found

        return eventually(come, every=0.1)


@pytest.fixture(scope="module", params=["redis", pytest.param("rabbitmq", marks=pytest.mark.long)])
def garden(request: pytest.FixtureRequest) -> Iterator[Garden]:
    broker, backend = empty_broker(request)
    home = Path(tempfile.mkdtemp(prefix="wd-"))
    (home / "d").mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        # Without -E nothing is told of tasks until Flower asks for it, five seconds after its start.
        words = ("-E",) if request.param == "redis" else ()
        daemon = stack.enter_context(
            running(home / "d", broker=broker, backend=backend, size="1", words=words)
        )
        garden = Garden(stack.enter_context(flower(home / "f", broker, backend)), daemon, home)
        # It takes part in what Flower asks at its start, which would else replace what is asked later.
        eventually(lambda: "stats" in garden.flower.get("/api/workers", refresh=1).get(NODE, {}))
        eventually(lambda: garden.flower.get("/api/workers", status=1) == {NODE: True})
        eventually(lambda: garden.send("add", 1, 1) and garden.flower.get("/api/tasks"), every=0.5)
        yield garden


def test_calls_are_sent_and_their_ends_are_shown(garden: Garden) -> None:
    show = garden.flower
    applied = show.call("/api/task/apply/ledger.add", args=[2, 3])
    assert (applied["state"], applied["result"]) == ("SUCCESS", 5)
    started = show.call("/api/task/async-apply/ledger.add", args=[2, 3], kwargs={})["task-id"]
    assert garden.result(started)["result"] == 5
    found = garden.task(started, "SUCCESS")
    assert (found["name"], found["args"], found["kwargs"]) == ("ledger.add", "[2, 3]", "{}")
    assert (found["result"], found["worker"], found["retries"]) == ("5", NODE, 0)
    assert found["received"] <= found["started"] <= found["succeeded"]
    assert 0 < found["runtime"] < 1
    failed = garden.send("boom", "no such luck")
    assert garden.result(failed)["state"] == "FAILURE"
    found = garden.task(failed, "FAILURE")
    assert found["exception"] == "ValueError('no such luck')"
    assert found["traceback"].endswith("ValueError: no such luck\n")
    assert show.get("/api/tasks", state="FAILURE").keys() == {failed}
    assert {started, failed} < show.get("/api/tasks", workername=NODE).keys()
    assert show.get("/api/task/types")["task-types"] == ["ledger.add", "ledger.boom"]


def test_a_node_that_works_is_shown_as_it_is(garden: Garden) -> None:
    runs, gate = garden.hold(1)
    later = garden.send("add", 1, 2, countdown=30)
    garden.task(later, "RECEIVED")
    assert garden.task(runs, "STARTED")["worker"] == NODE
    shown = garden.node()
    assert [task["id"] for task in shown["active"]] == [runs]
    [child] = garden.daemon.children()
    assert shown["active"][0]["worker_pid"] == child["pid"]
    assert shown["active"][0]["args"] == f"[1, '{gate}']"
    assert [one["request"]["id"] for one in shown["scheduled"]] == [later]
    assert (shown["reserved"], shown["revoked"]) == ([], [])
    assert shown["conf"].keys() == {"broker_url", "result_backend"}
    assert {"ledger.add", "ledger.hold"} < {*shown["registered"]}
    assert [queue["name"] for queue in shown["active_queues"]] == ["celery"]
    stats = shown["stats"]
    assert stats.keys() >= STATS.keys()
    assert (stats["pid"], stats["total"]["ledger.hold"]) == (garden.daemon.pid, 1)
    assert stats["rusage"].keys() == STATS["rusage"].keys()
    assert stats["rusage"]["utime"] > 0
    pool = stats["pool"]
    assert pool.keys() == STATS["pool"].keys()
    assert (pool["max-concurrency"], pool["processes"]) == (1, [child["pid"]])
    assert (pool["max-tasks-per-child"], pool["timeouts"]) == ("N/A", [0, 0])
    assert pool["writes"]["inqueues"] == {"total": 1, "active": 1}
    garden.flower.press(f"/api/task/revoke/{later}")
    gate.touch()
    assert garden.result(runs)["result"] == 1
    assert garden.result(later)["state"] == "REVOKED"
    garden.task(later, "REVOKED")
    assert garden.node()["revoked"] == [later]


def test_a_task_that_runs_is_terminated_or_aborted(garden: Garden) -> None:
    runs, _ = garden.hold(2)
    assert garden.flower.press(f"/api/task/revoke/{runs}", terminate="true")["message"] == f"Revoked '{runs}'"
    assert garden.result(runs)["state"] == "REVOKED"
    assert garden.task(runs, "REVOKED")["revoked"]
    assert garden.daemon.ran("end")[2] == 0
    asked = garden.send("abortable", 3)
    eventually(lambda: garden.daemon.ran("start")[3])
    garden.flower.press(f"/api/task/abort/{asked}")
    garden.task(asked, "SUCCESS")
    assert garden.daemon.ran("end")[3] == 1


def test_the_pool_grows_shrinks_and_starts_anew(garden: Garden) -> None:
    assert garden.press("pool/grow", n=2) == f"Growing '{NODE}' worker's pool by 2"
    eventually(lambda: garden.pool["alive"] == 3)
    assert garden.node()["stats"]["pool"]["max-concurrency"] == 3
    assert garden.press("pool/shrink", n=1) == f"Shrinking '{NODE}' worker's pool by 1"
    eventually(lambda: garden.pool["alive"] == 2)
    before = garden.pool["generation"]
    assert garden.press("pool/restart") == f"Restarting '{NODE}' worker's pool"
    eventually(lambda: garden.pool["generation"] == before + 1)
    assert "autoscaler" not in garden.node()["stats"]
    assert garden.press("pool/autoscale", min=1, max=4) == f"Autoscaling '{NODE}' worker (min=1, max=4)"
    assert (garden.pool["lower"], garden.pool["upper"]) == (1, 4)
    shown = garden.node()["stats"]["autoscaler"]
    assert (shown["min"], shown["max"]) == (1, 4)
    with pytest.raises(AssertionError, match=r"403: .* not supported with autoscale"):
        garden.press("pool/grow")
    garden.press("pool/autoscale", min=1, max=1)
    eventually(lambda: garden.pool["alive"] == 1)


def test_queues_are_added_and_given_up(garden: Garden) -> None:
    assert garden.press("queue/add-consumer", queue="extra") == "add consumer extra"
    assert garden.result(garden.send("add", 2, 3, queue="extra"))["result"] == 5
    assert {queue["name"] for queue in garden.node()["active_queues"]} == {"celery", "extra"}
    assert garden.press("queue/cancel-consumer", queue="extra") == "no longer consuming from extra"
    assert "extra" not in garden.pool["queues"]
    waits = garden.send("add", 3, 4, queue="extra")
    if garden.redis:  # RabbitMQ tells its lengths over HTTP, which is none of a node's business
        lengths = garden.flower.get("/api/queues/length")["active_queues"]
        assert {one["name"]: one["messages"] for one in lengths} == {"celery": 0, "extra": 1}
    garden.press("queue/add-consumer", queue="extra")
    assert garden.result(waits)["result"] == 7


def test_limits_of_a_task_change(garden: Garden) -> None:
    assert garden.limit("timeout", soft=50, hard=60) == "time limits set successfully"
    assert garden.daemon.status()["limits"] == {"ledger.add": {"soft": 50.0, "hard": 60.0}}
    assert garden.limit("timeout", soft=40) == "time limits set successfully"
    assert garden.daemon.status()["limits"]["ledger.add"]["soft"] == 40.0
    assert garden.limit("rate-limit", ratelimit="1/h") == "new rate limit set successfully"
    assert "ledger.add [rate_limit=1/h]" in garden.node()["registered"]
    garden.send("add", 1, 1)
    waits = garden.send("add", 2, 2)
    eventually(lambda: [task["id"] for task in garden.node()["reserved"]] == [waits])
    with pytest.raises(AssertionError, match=r"403: .*Invalid rate limit string"):
        garden.limit("rate-limit", ratelimit="NaN")
    garden.limit("rate-limit", ratelimit=200)
    assert garden.daemon.status()["rates"]["ledger.add"]["rate"] == "200/s"
    assert garden.result(waits)["result"] == 4


def test_shut_down_is_orderly_and_shown(garden: Garden) -> None:
    assert garden.press("shutdown") == "Shutting down!"
    assert garden.daemon.wait() == 0
    eventually(lambda: garden.flower.get("/api/workers", status=1) == {NODE: False})
