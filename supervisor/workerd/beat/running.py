"""Run one beat to its end: as a program beside a daemon, or as ``workerd beat``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.beat.service import Service, Tell
from workerd.beat.settings import settings_of
from workerd.beat.wake import Wake
from workerd.signals import beat_embedded_init, beat_init

if TYPE_CHECKING:
    from workerd.app import App
    from workerd.config.model import Beat


def run_beat(
    app: App,
    beat: Beat,
    where: str,
    name: str,
    wake: Wake,
    *,
    embedded: bool,
    tell: Tell | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Until ``wake`` is asked to stop.  ``where`` is the app's place and ``name`` the daemon's.

    ``options`` are the app's own of the command line, for receivers of ``beat_init``.

    Errors: ConfigError for a schedule that cannot be.
    """
    settings = settings_of(
        app, where, name, app.hostname, lease=beat.lease, missed=beat.missed, rows=beat.schedule
    )
    service = Service(app, settings, wake, tell=tell)
    service.options.update(options or {})
    beat_init.send(sender=service)
    if embedded:
        beat_embedded_init.send(sender=service)
    service.run()
