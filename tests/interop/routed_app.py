"""The ledger's app with queues of every kind; $ROUTED has the prefix, and rabbit where that is the broker."""

from __future__ import annotations

import os

from tests.interop.routed import settings
from tests.support.apps.ledger import app, run

prefix, _, broker = os.environ["ROUTED"].partition(" ")
app.conf.update(settings(prefix, rabbit=broker == "rabbit"))


@app.task(name="ledger.to_video")
def to_video(number: int) -> int:
    return run(number)
