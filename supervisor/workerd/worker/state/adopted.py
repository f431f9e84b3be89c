"""What StateDB keeps for ``delivery.holding``: messages that the broker has no more.

Units: Unix time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from workerd.clock import Clock
from workerd.delivery.holding import Adopted
from workerd.protocol.message import MalformedError, message_from_payload
from workerd.source.base import Delivery
from workerd.worker.state.database import Database

logger = logging.getLogger(__name__)


class AdoptedShelf:
    """Implements ``delivery.holding.Shelf``."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock

    def put(self, adopted: Sequence[Adopted]) -> bool:
        now = self.clock.wall()
        return self.database.write_for_good(
            "INSERT INTO adopted (key, queue, payload, since) VALUES (?, ?, ?, ?)",
            [(*one, now) for one in adopted],
        )

    def remove(self, key: bytes) -> None:
        self.database.write("DELETE FROM adopted WHERE key = ?", key)

    def load(self, zone: tzinfo) -> Iterator[tuple[bytes, Delivery]]:
        """What an earlier supervisor has left, the oldest first; times without an offset are in ``zone``."""
        rows = self.database.read("SELECT key, queue, payload FROM adopted ORDER BY since, rowid")
        for key, queue, payload in rows:
            try:
                message = message_from_payload(bytes(payload), zone)
            except MalformedError as exc:
                logger.error("An adopted message in %s cannot be read: %s", self.database.path, exc)
                continue
            yield bytes(key), Delivery(None, queue, message, b"", redelivered=True)
