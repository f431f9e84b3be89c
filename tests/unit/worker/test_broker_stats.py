"""What ``inspect stats`` tells everybody of the connection."""

from __future__ import annotations

from workerd import App
from workerd.worker.remote.stats import broker_stats


def test_it_holds_no_secret() -> None:
    app = App("proj", broker=["redis://:hush@127.0.0.1:1/0", "redis://:hush@127.0.0.1:2/0"])
    app.conf.broker_transport_options = {"password": "hush", "global_keyprefix": "p:"}
    told = broker_stats(app.connection_for_write())
    options = told["transport_options"]
    assert (options["password"], options["global_keyprefix"]) == ("********", "p:")
    assert told["alternates"]
    assert "hush" not in repr(told)
