"""Beat: sends periodic tasks when they are due, from one node of a cluster at a time."""

from __future__ import annotations

from workerd.beat.service import Service
from workerd.beat.settings import BeatSettings

__all__ = ["BeatSettings", "Service"]
