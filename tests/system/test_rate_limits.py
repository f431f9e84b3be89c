"""Rate limits of a real daemon: kept over a lost link, changed while it runs, and nothing to other tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis

from tests.support.daemon import Workerd
from tests.support.eventually import eventually

Make = Callable[..., Workerd]

APP = """
from tests.support.apps.ledger import app, note

@app.task(name="mail"{limit})
def mail(number):
    note("mail", number)
"""


def write(home: Path, limit: str) -> str:
    text = APP.format(limit=f', rate_limit="{limit}"' if limit else "")
    (home / "limited.new").write_text(text)
    (home / "limited.new").rename(home / "limited.py")
    return "limited"


def test_a_limit_over_a_lost_link_a_reload_and_a_stop(make: Make, short_dir: Path) -> None:
    daemon = make(app=write(short_dir, "1/h")).start()
    socket = str(daemon.home / "s/_broker/valkey.sock")
    with daemon.client() as app, redis.Redis(unix_socket_path=socket) as broker:
        for number in range(10):
            app.send_task("mail", (number,))
        for number in range(100):
            app.send_task("ledger.run", (number,))
        eventually(lambda: len(daemon.ran()) == 100)  # behind the ten in the same queue
        eventually(lambda: daemon.status()["tasks"]["limited"] == 9)
        assert daemon.status()["rates"] == {"mail": {"rate": "1/h", "waiting": 9}}

        broker.execute_command("CLIENT", "KILL", "TYPE", "normal")
        eventually(lambda: daemon.status()["link"]["restarts"] == 1)
        assert app.send_task("ledger.run", (100,)).get(timeout=30) == 100
        assert daemon.ran("mail") == {0: 1}
        assert daemon.status()["tasks"]["limited"] == 9

        write(short_dir, "")
        assert daemon.run("reload", "--wait").returncode == 0
        eventually(lambda: daemon.ran("mail") == dict.fromkeys(range(10), 1))
        eventually(lambda: daemon.status()["tasks"]["running"] == 0)
        assert daemon.status()["rates"] == {}

        done = daemon.run("limit", "mail", "--rate", "1/h")
        said = "soft limit none, hard limit none, rate limit 1/h (set by an operator)"
        assert done.stdout == f"mail: {said}; 0 running\n"
        for number in range(10, 13):
            app.send_task("mail", (number,))
        eventually(lambda: daemon.status()["tasks"]["limited"] == 2)
        assert daemon.stop() == 0
    assert daemon.text().count("given back to celery: the daemon is stopping") == 2
    assert daemon.ran("mail") == dict.fromkeys(range(11), 1)
