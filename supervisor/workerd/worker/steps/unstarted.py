"""A worker whose steps are made and not started, for those who want to look at it or try its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workerd.worker.controller import WorkController
from workerd.worker.given import Given
from workerd.worker.identity import Identity
from workerd.worker.loop.inbox import Inbox

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.clock import Clock
    from workerd.config import Config


@contextmanager
def unstarted(
    app: App, config: Config, *, clock: Clock | None = None, **options: Any
) -> Iterator[WorkController]:
    """The worker; nothing outside this process is touched for it.

    Errors: ConfigError for steps that cannot be found or ordered; whatever a step raises while it is made.
    """
    inbox = Inbox()
    try:
        identity = Identity(config.name)
        given = Given(options)
        worker = WorkController(app, config, inbox=inbox, identity=identity, clock=clock, given=given)
        worker.make_steps()
        try:
            yield worker
        finally:
            worker.hub.dispose()
    finally:
        inbox.uninstall()
