"""``celery.chord_unlock``: looks every second whether a chord's header is done, and sends the body then.

For backends that cannot count.  It asks again by a retry, so any worker of the cluster may go on with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workerd.app.canvas.failing import fail_chord
from workerd.app.canvas.parts import joined_values
from workerd.app.canvas.signature import maybe_signature
from workerd.app.results.group import result_from_tuple
from workerd.errors import UnavailableError
from workerd.protocol.exceptions import ChordError, Reject, Retry
from workerd.protocol.failure import safe_repr

if TYPE_CHECKING:
    from workerd.app.task import Task

logger = logging.getLogger("workerd.task")


def unlock(
    self: Task,
    group_id: str,
    callback: Mapping[str, Any],
    interval: float | None = None,
    max_retries: int | None = None,
    result: Any = None,
    **more: Any,
) -> None:
    """Send ``callback`` with the results of the header ``result`` (tuples), or look again in ``interval``."""
    app = self.app
    header = app.GroupResult(group_id, [result_from_tuple(one, app) for one in result or ()])
    try:
        if not header.ready():
            raise self.retry(countdown=interval or self.default_retry_delay, max_retries=max_retries)
        values = joined_values(app, header)
        with app.frames.follow():
            maybe_signature(callback, app).apply_async((values,))
    except (Retry, Reject):
        raise
    except UnavailableError as exc:
        raise Reject(f"chord {group_id}: {exc}", requeue=True) from exc
    except Exception as exc:  # noqa: BLE001 (nobody looks again: whatever it is, the body hears of it)
        error = exc if isinstance(exc, ChordError) else ChordError(f"Callback error: {safe_repr(exc)}")
        logger.error("chord %s: %s", group_id, error)
        with app.frames.follow():
            fail_chord(app, callback, error, self.request.id)
