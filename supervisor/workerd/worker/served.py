"""What a daemon serves: its broker, its result backend and its queues, as settings and app say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workerd.backends.url import EMBEDDED, shown
from workerd.config.model import DEFAULT_POOL
from workerd.errors import ConfigError

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.config import Config


class Served:
    """The part of the worker that answers by its settings alone."""

    app: App
    config: Config

    @property
    def broker_urls(self) -> tuple[str, ...]:
        """Where messages come from, in the order in which they are tried."""
        return self.config.broker

    @property
    def backend_url(self) -> str:
        """Where results go; empty when nowhere."""
        if self.config.backend:
            return self.config.backend
        return EMBEDDED if EMBEDDED in self.config.broker else ""

    @property
    def masked_broker(self) -> str:
        """The broker for people's eyes: without passwords."""
        return ", ".join(shown(url) for url in self.broker_urls)

    @property
    def masked_backend(self) -> str:
        """The result backend for people's eyes."""
        return shown(self.backend_url) if self.backend_url else "none"

    @property
    def queues_by_pool(self) -> dict[str, Sequence[str]]:
        """The queues to consume, for each pool by its name."""
        return queues_by_pool(self.app, self.config)

    @property
    def queues(self) -> Sequence[str]:
        """The queues to consume, of all pools."""
        return [queue for queues in self.queues_by_pool.values() for queue in queues]


def queues_by_pool(app: App, config: Config) -> dict[str, Sequence[str]]:
    """The queues to consume, for each pool by its name; one that has an alias may be called by that.

    Errors: ConfigError for a queue that is in no setting and may not be made, and where none is left.
    """
    wanted = {name: pool.queues for name, pool in config.all_pools().items()}
    wanted[DEFAULT_POOL] = config.queues or app.router.queue_names()
    excluded = {str(app.router.queue(name).name) for name in config.exclude_queues}
    found: dict[str, Sequence[str]] = {}
    for pool, names in wanted.items():
        own = [str(app.router.queue(name).name) for name in names]
        found[pool] = tuple(name for name in own if name not in excluded)
        if not found[pool]:
            raise ConfigError(
                f"pool {pool!r} has no queue left: exclude_queues names all of them",
                "leave it one",
            )
    return found
