"""How long a broker that is away is tried: for ever, unless the app says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from workerd import App
from workerd.worker.consumer.link import Link
from workerd.worker.consumer.perseverance import Perseverance


@pytest.mark.parametrize(
    ("settings", "link", "ends"),
    [
        ({}, Link(failures=10_000), False),
        ({"broker_connection_max_retries": 3}, Link(failures=3), False),
        ({"broker_connection_max_retries": 3}, Link(failures=4), True),
        ({"broker_connection_max_retries": 0}, Link(failures=400), False),
        ({"broker_connection_retry": False}, Link(failures=1), True),
        ({"broker_connection_retry": False}, Link(failures=1, restarts=0), True),
        ({"broker_connection_retry_on_startup": False}, Link(failures=1), True),
        ({"broker_connection_retry_on_startup": False}, Link(failures=1, restarts=0), False),
        ({"broker_connection_retry": False, "broker_connection_retry_on_startup": True}, Link(), False),
    ],
)
def test_who_gives_up(settings: dict[str, Any], link: Link, ends: bool) -> None:
    assert bool(Perseverance(App(**settings).conf).end(link)) is ends
