"""Ours with a fixed prefetch of 64: no option of the product, but what its adaptive one is compared with."""

from __future__ import annotations

from typing import Any

from app_workerd import app, noop, send, send_as, send_many, shaped

from workerd.bootsteps import Step
from workerd.delivery.prefetch import Prefetch

__all__ = ["app", "noop", "send", "send_as", "send_many", "shaped"]


class Fixed(Prefetch):
    """Whatever the tasks take."""

    def waiting(self, slots: int) -> int:
        return 64


class FixedPrefetch(Step):
    """Changes the measure of every lane before the first message is fetched."""

    requires = ("Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        for lane in worker.dispatcher.lanes.values():
            assert isinstance(lane.prefetch, Prefetch), "the prefetch is somewhere else now"
            lane.prefetch = Fixed()


app.steps["worker"].add(FixedPrefetch)
