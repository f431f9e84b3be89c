"""Two pools in one daemon: neither waits for the other, whatever is done to either."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.daemon import Workerd
from tests.support.eventually import eventually
from tests.system.conftest import Make, Start

VIDEO = ("--pool", "video:queues=video,size=1")


def pool(daemon: Workerd, name: str) -> dict[str, Any]:
    """One pool as status shows it."""
    found: dict[str, Any] = next(each for each in daemon.status()["pools"] if each["name"] == name)
    return found


def sizes(daemon: Workerd) -> dict[str, tuple[int, int]]:
    """(wanted, alive) of each pool; at every quiet point the two are equal."""
    return {each["name"]: (each["wanted"], each["alive"]) for each in daemon.status()["pools"]}


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_a_long_task_never_delays_another_pool_and_a_stop_waits_for_both(
    start: Start, broker: dict[str, str]
) -> None:
    daemon = start(size="1", words=VIDEO, **broker)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(1000, 1020):
            app.send_task("ledger.hold", (number, str(gate)), queue="video")
        eventually(lambda: len(daemon.ran("start")) == 1)
        for number in range(200):
            app.send_task("ledger.run", (number,))
        eventually(lambda: len(daemon.ran()) == 200)

        # All that while one video ran, and the others were left to the broker and to nobody else.
        assert sorted(daemon.ran("start"))[-2:] == [199, 1000]
        video = pool(daemon, "video")
        assert (video["queues"], video["busy"], video["alive"]) == (["video"], 1, 1)
        assert daemon.status()["tasks"]["reserved"] == 0
        # Results have a connection of their own.
        of_results = broker["backend"] == broker["broker"]
        assert broker_connections(daemon, broker) <= 3 + of_results

        other = daemon.home / "other"
        app.send_task("ledger.hold", (900, str(other)))
        eventually(lambda: daemon.ran("start")[900] == 1)
        daemon.kill(signal.SIGTERM)
        eventually(lambda: daemon.status()["state"] == "draining")
        other.touch()
        eventually(lambda: daemon.ran()[900] == 1)
        assert daemon.status()["state"] == "draining"
        gate.touch()
    assert daemon.wait() == 0
    assert set(daemon.ran().values()) == {1}
    assert sorted(daemon.ran())[200:] == [900, 1000]


def broker_connections(daemon: Workerd, broker: dict[str, str]) -> int:
    """How many connections the supervisor has to its broker."""
    port = int(broker["broker"].rpartition(":")[2].partition("/")[0])
    return sum(
        bool(link.raddr) and link.raddr.port == port
        for link in psutil.Process(daemon.pid).net_connections("tcp")
    )


def test_each_pool_is_scaled_by_its_name(start: Start) -> None:
    daemon = start(size="1", words=VIDEO)
    gate = daemon.home / "gate"
    told = daemon.run("scale", "video", "3")
    assert told.stdout == "pool video, size 3: 3 slots wanted, 1 before\n"
    eventually(lambda: sizes(daemon) == {"default": (1, 1), "video": (3, 3)})
    with daemon.client() as app:
        app.send_task("ledger.hold", (7, str(gate)), queue="video")
        eventually(lambda: daemon.ran("start")[7] == 1)

    dry = daemon.run("scale", "video", "-2", "--dry-run").stdout.splitlines()
    assert dry[0] == "pool video, size 1: 1 slot would be wanted, 3 now (3 alive)"
    busy, idle = busy_and_idle(daemon)
    assert sorted(dry[1:]) == sorted(
        f"  child {c['slot']} (pid {c['pid']}) would leave at once" for c in idle
    )
    assert sizes(daemon)["video"] == (3, 3)

    # The signals are the default pool's.
    daemon.kill(signal.SIGTTIN)
    eventually(lambda: sizes(daemon) == {"default": (2, 2), "video": (3, 3)})
    assert daemon.run("scale", "video", "-2").returncode == 0
    eventually(lambda: sizes(daemon)["video"] == (1, 1))
    # Those that leave do not count any more, and are told of until they have gone.
    eventually(lambda: [child["pid"] for child in pool(daemon, "video")["children"]] == [busy["pid"]])
    gate.touch()
    eventually(lambda: daemon.ran()[7] == 1)
    daemon.kill(signal.SIGTTOU)
    eventually(lambda: sizes(daemon) == {"default": (1, 1), "video": (1, 1)})


def busy_and_idle(daemon: Workerd) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one busy child of video, and the idle ones."""
    children = pool(daemon, "video")["children"]
    [busy] = [child for child in children if child["state"] == "BUSY"]
    return busy, [child for child in children if child is not busy]


def test_a_busy_child_that_is_too_many_leaves_after_its_task(start: Start) -> None:
    daemon = start(size="1", words=("--pool", "video:queues=video,size=2"))
    gate = daemon.home / "gate"
    with daemon.client() as app:
        for number in range(2):
            app.send_task("ledger.hold", (number, str(gate)), queue="video")
        eventually(lambda: len(daemon.ran("start")) == 2)
    dry = daemon.run("scale", "video", "1", "--dry-run").stdout
    assert "would leave after ledger.hold[" in dry
    assert daemon.run("scale", "video", "1").returncode == 0
    eventually(lambda: sizes(daemon)["video"] == (1, 1))
    assert len(pool(daemon, "video")["children"]) == 2, "it was not interrupted"
    gate.touch()
    eventually(lambda: len(pool(daemon, "video")["children"]) == 1)
    assert daemon.ran() == {0: 1, 1: 1}


def test_pools_are_known_by_their_names(start: Start) -> None:
    daemon = start(size="1", words=VIDEO)
    done = daemon.run("scale", "vide", "3")
    assert done.returncode == 2
    assert done.stderr == "workerd: there is no pool 'vide'; pools: default, video\n"
    titles = sorted(" ".join(p.cmdline()).split(" since")[0].strip() for p in daemon.descendants())
    assert [title for title in titles if title.startswith("workerd[")] == [
        "workerd[main:default] child 1 idle",
        "workerd[main:default] template gen 1",
        "workerd[main:video] child 1 idle",
        "workerd[main:video] template gen 1",
    ]


def test_each_pool_has_limits_of_its_own(start: Start) -> None:
    daemon = start(
        size="1", words=("--pool", "video:queues=video,size=1,time_limit=1s,max_tasks_per_child=1")
    )
    gate = daemon.home / "gate"
    with daemon.client() as app:
        free = app.send_task("ledger.hold", (1, str(gate)))
        limited = app.send_task("ledger.hold", (2, str(gate)), queue="video")
        eventually(lambda: limited.state == "FAILURE")
        assert type(limited.result).__name__ == "TimeLimitExceeded"
        # It began no later than the other one, which no limit holds.
        assert free.state != "FAILURE"
        gate.touch()
        assert free.get(timeout=30) == 1

        pids = [app.send_task("ledger.pid", queue="video").get(timeout=30) for _ in range(3)]
        assert len(set(pids)) == 3
        assert len({app.send_task("ledger.pid").get(timeout=30) for _ in range(3)}) == 1


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_every_pool_is_fed_again_after_a_lost_link(
    start: Start, kind: str, request: pytest.FixtureRequest
) -> None:
    urls = {"backend": request.getfixturevalue("redis_url")}
    urls["broker"] = urls["backend"] if kind == "redis" else request.getfixturevalue("fresh_rabbit_url")
    server = request.getfixturevalue("redis_server" if kind == "redis" else "rabbit_server")
    daemon = start(size="1", words=VIDEO, **urls)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)), queue="video")
        eventually(lambda: daemon.ran("start")[1] == 1)
    server.drop_clients()
    eventually(lambda: daemon.status()["link"].items() >= {"state": "up", "restarts": 1}.items())
    with daemon.client() as app:
        for number in range(2, 22):
            app.send_task("ledger.run", (number,), queue=("celery", "video")[number % 2])
        eventually(lambda: len(daemon.ran()) == 10)
        assert all(number % 2 == 0 for number in daemon.ran()), (
            "the video goes on, and holds up its own queue"
        )
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 21)
    assert set(daemon.ran("start").values()) == {1}


GOOD = "from tests.support.apps.ledger import *  # noqa: F403\nfrom tests.support.apps.ledger import app\n"
ONLY_IN_VIDEO = GOOD + (
    "import os\n"
    "if 'main:video' in open(f'/proc/{os.getpid()}/cmdline').read():\n"
    "    raise RuntimeError('broken in one pool')\n"
)


def generations(daemon: Workerd) -> list[int]:
    """Of each pool, as it serves."""
    return [each["generation"] for each in daemon.status()["pools"]]


def test_all_pools_take_new_code_or_none_does(start: Start, short_dir: Path) -> None:
    home = short_dir / "d"
    home.mkdir()
    module = home / "poolsapp.py"
    module.write_text(GOOD)
    daemon = start(app="poolsapp", size="2", words=VIDEO)
    gate = daemon.home / "gate"
    with daemon.client() as app:
        app.send_task("ledger.hold", (1, str(gate)), queue="video")
        eventually(lambda: daemon.ran("start")[1] == 1)

        assert daemon.run("reload").returncode == 0
        assert generations(daemon) == [2, 2]
        assert daemon.ran()[1] == 0, "the task of the old code goes on"

        module.write_text(ONLY_IN_VIDEO)
        broken = daemon.run("reload")
        assert broken.returncode == 1
        assert "generation 3 failed: pool video: " in broken.stderr
        assert "broken in one pool" in broken.stderr
        assert generations(daemon) == [2, 2]
        for number, queue in enumerate(("celery", "video"), 2):
            app.send_task("ledger.run", (number,), queue=queue)
        gate.touch()
        eventually(lambda: len(daemon.ran()) == 3)
        eventually(lambda: sizes(daemon) == {"default": (2, 2), "video": (1, 1)})

        module.write_text(GOOD)
        os.utime(module)
        assert daemon.run("reload").returncode == 0
        assert generations(daemon) == [4, 4]
    eventually(lambda: len(daemon.children()) == 2)
    assert set(daemon.ran("start").values()) == {1}


def test_a_start_that_fails_in_one_pool_ends_the_daemon(make: Make, short_dir: Path) -> None:
    (short_dir / "poolsapp.py").write_text(ONLY_IN_VIDEO)
    daemon = make(app="poolsapp").start(*VIDEO, size="1", ready=False)
    assert daemon.wait() == 78
    assert "no child can be started: pool video: " in daemon.text()
    assert daemon.ran() == {}
