"""What each process loads: memory and start-up time of all that it does not need are paid by everybody."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"redis", "asyncio", "psutil", "prometheus_client", "celery"}
"""Of each more than a megabyte, and redis 19 of them."""
BROKERS = {"kombu", "amqp", "billiard", "hiredis"}
PARENTS_SIDE = {
    f"workerd_pool.{name}" for name in ("pool", "reconciler", "crew", "templates", "teller", "reaper", "plan")
}
FILES = {"tomllib", "workerd.config.layer"}
"""Settings are read by whoever has some to read."""
PACKAGES = {"importlib.metadata", "email", "zipfile"}
"""What installed packages add is looked up where it is asked for; kombu does so at once."""
UNUSED = {"difflib", "encodings.idna", "stringprep"}
"""For mistakes, and for international names."""
STEPS = {"graphlib", "workerd.bootsteps.blueprint", "workerd.bootsteps.life", "workerd.bootsteps.steps"}
"""Blueprints are the supervisor's."""
SUPERVISORS = {"workerd.worker", "workerd.delivery", "workerd.source", "workerd.control", "workerd.cli"}
ALL = (
    "workerd.cli.verbs.start, workerd.worker.run, workerd.source.redis, workerd.broadcast.redis,"
    " workerd.source.amqp, workerd.broadcast.amqp, workerd_pool.template, workerd.app.running.runner"
)
REACHING = """
from contextlib import suppress
from workerd.errors import UnavailableError
from workerd.transport.plain import open_plain
from workerd.transport.address import RedisAddress
with suppress(UnavailableError):
    open_plain(RedisAddress(port=1), 1.0)
"""
DATACLASSES = """
import sys
for name, module in list(sys.modules.items()):
    for kind in vars(module).values() if name.startswith("workerd") else ():
        if isinstance(kind, type) and "__dataclass_fields__" in vars(kind):
            print(f"{kind.__module__}.{kind.__name__}")
"""


def loaded(statement: str) -> set[str]:
    """The modules of a fresh interpreter that has run ``statement``."""
    return printed(f"{statement}\nimport sys\nprint(*sys.modules)")


def printed(code: str) -> set[str]:
    """The words that ``code`` prints in a fresh interpreter."""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(found.stdout.split())


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        pytest.param("import workerd", HEAVY | BROKERS | {"msgspec", "click", "logging"}, id="the package"),
        pytest.param(
            "from workerd import App; App('proj', broker='redis://h').connection_for_write()",
            HEAVY | SUPERVISORS | FILES | STEPS | UNUSED | {"click", "sqlite3", "zoneinfo"},
            id="an app",
        ),
        pytest.param(
            "import workerd.cli.group", HEAVY | BROKERS | PACKAGES | {"msgspec", "sqlite3"}, id="the command"
        ),
        pytest.param(
            "import workerd.cli.verbs.status, workerd.cli.verbs.stop, workerd.cli.verbs.scale",
            HEAVY | BROKERS | PACKAGES | {"sqlite3", "tomllib", "workerd.worker.run"},
            id="verbs that talk to a daemon",
        ),
        pytest.param(
            "import workerd_pool.template",
            HEAVY | PARENTS_SIDE | {"workerd", "kombu", "amqp", "hiredis", "click"},
            id="a template",
        ),
        pytest.param(
            "import workerd_pool.template, workerd.app.running.runner",
            HEAVY
            | PARENTS_SIDE
            | SUPERVISORS
            | FILES
            | STEPS
            | UNUSED
            | {"click", "hiredis", "sqlite3", "zoneinfo", "sysconfig"},
            id="a template with an app",
        ),
        pytest.param(
            "import workerd.cli.verbs.start, workerd.worker.run, workerd.source.redis, workerd.source.amqp,"
            " workerd.broadcast.redis, workerd.broadcast.amqp",
            HEAVY
            | UNUSED
            | {"tomllib", "workerd.app.running.runner", "workerd_pool.template", "workerd_pool.child"},
            id="a supervisor",
        ),
        pytest.param(REACHING, HEAVY | UNUSED, id="a link to Redis"),
    ],
)
def test_a_process_loads_nothing_of_what_only_others_need(statement: str, unwanted: set[str]) -> None:
    assert sorted(loaded(statement) & unwanted) == []


def test_records_are_structs() -> None:
    # A dataclass costs a start 20 times as much as a Struct; the request is one that tasks know as it is.
    assert printed(f"import {ALL}\n{DATACLASSES}") == {"workerd.app.running.request.Request"}
