"""Autoreloader: reload when the app's files change.

It has no setting yet that asks for it, so its condition keeps it out of every daemon; ``workerd reload`` and
HUP reload by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workerd.bootsteps import StartStopStep

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController


class Autoreloader(StartStopStep):
    """Worker step; its place in the boot order is after the pool that it reloads."""

    label = "Autoreloader"
    requires = ("Timer", "Pool")
    conditional = True
    enabled = False

    def __init__(self, worker: WorkController, **options: Any) -> None:
        worker.autoreloader = None
