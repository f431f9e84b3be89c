"""The seat of the one active beat of a cluster, at the broker, and what is remembered beside it."""

from __future__ import annotations

from workerd.beat.seat.base import Seat
from workerd.beat.seat.opening import open_seat

__all__ = ["Seat", "open_seat"]
