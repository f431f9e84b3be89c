"""Counts since the start of the daemon, for status."""

from __future__ import annotations

import msgspec

_BY_STATE = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "RETRY": "retried",
    "IGNORED": "ignored",
    "REJECTED": "rejected",
    "REVOKED": "revoked",
}


class Totals(msgspec.Struct):
    """Messages and runs.

    ``cut_off`` counts runs that ended with their child's death, ``interrupted`` those that a stop has cut
    off and given back, ``repeated`` deliveries that came again and runs that another node runs too,
    ``adopted`` runs that went on for longer than RabbitMQ would have waited for them.
    """

    received: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    ignored: int = 0
    rejected: int = 0
    revoked: int = 0
    expired: int = 0
    cut_off: int = 0
    put_aside: int = 0
    given_back: int = 0
    interrupted: int = 0
    repeated: int = 0
    adopted: int = 0

    def count(self, state: str) -> None:
        """One run ended in ``state``."""
        if state == "SUCCESS":  # as nearly all do
            self.succeeded += 1
            return
        name = _BY_STATE.get(state, "failed")
        setattr(self, name, getattr(self, name) + 1)

    def as_dict(self) -> dict[str, int]:
        return msgspec.structs.asdict(self)
