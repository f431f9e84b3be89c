"""An app as part of a daemon: what it sends goes where the daemon's messages come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.app.base import App


def take_part(app: App, broker: Sequence[str], backend: str | None, hostname: str) -> dict[str, Any]:
    """Let the daemon's settings stand for the app's own; what is empty stays, ``backend`` where it is None.

    Returns the app's own, by the daemon's names for them.
    """
    own = app.daemon_defaults()
    if broker:
        app.conf.broker_url = tuple(broker)
        del app.conf.broker_read_url, app.conf.broker_write_url
    if backend is not None:
        app.conf.result_backend = backend or "disabled"
    app.hostname = hostname or app.hostname
    return {name: own.get(name) for name in ("broker", "backend")}
