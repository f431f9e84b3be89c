"""What ``workerd status --json`` has is what the reference says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.daemon import REPOSITORY
from tests.support.eventually import eventually
from tests.system.conftest import Start

ROW = re.compile(r"^\| (`[^|]+) \|", re.MULTILINE)


def documented(text: str) -> list[str]:
    """The keys in the first column of the tables of ``text``, in their order."""
    return [name for row in ROW.findall(text) for name in re.findall(r"`([a-z_.]+)`", row)]


def keys(found: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted; a mapping by name (such as of queues) and one with nothing in it are leaves."""
    for name, value in found.items():
        if isinstance(value, dict) and value and name not in ("counts", "autoscale"):
            if name == "memory":
                yield name  # it may be null
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_key_of_the_status_has_its_row_in_the_reference(start: Start) -> None:
    text = (REPOSITORY / "docs/reference/status.md").read_text().partition("\n## Keys\n")[2]
    of_daemon, _, of_pools = text.partition("\nEach entry of `pools`:\n")
    daemon = start(size="1-2", words=("--memory-budget", "64GB", "--beat"))

    def complete() -> dict[str, Any] | None:
        found = daemon.status()
        return found if found["memory"] and "leads" in (found["beat"] or ()) else None

    status = eventually(complete, within=60)
    [pool] = status.pop("pools")

    assert documented(of_daemon) == list(keys(status))
    assert sorted(documented(of_pools)) == sorted(keys(pool))
    # What the rows of these name in their text.
    entry = of_pools.partition("| `children` |")[2].partition("\n")[0]
    assert re.findall(r"`([a-z_]+)`", entry) == list(pool["children"][0])
