"""How long a broker that is away is tried, as the app's settings say; without them for ever.

Errors: none; the reason to give up is told as a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workerd.app.settings.conf import Conf
    from workerd.worker.consumer.link import Link


class Perseverance:
    """Celery's ``broker_connection_retry``, ``_retry_on_startup`` and ``_max_retries``."""

    def __init__(self, conf: Conf) -> None:
        self._again = conf.broker_connection_retry
        at_start = conf.broker_connection_retry_on_startup
        self._at_start = self._again if at_start is None else at_start
        self._most = conf.broker_connection_max_retries or 0

    def end(self, link: Link) -> str:
        """Why the link that is down now is not tried again; empty where it is."""
        first = link.restarts < 0
        if not (self._at_start if first else self._again):
            return f"app.conf.broker_connection_retry{'_on_startup' * first} is False"
        if self._most and link.failures > self._most:
            return f"{link.failures} attempts have failed (app.conf.broker_connection_max_retries)"
        return ""
