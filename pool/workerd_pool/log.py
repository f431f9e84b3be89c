"""The pool's logger, and the fence around the host's callbacks."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("workerd_pool")


def tell(method: Callable[..., None], *args: object) -> None:
    """Call the host; what it raises is logged here, so that the frames behind are still served."""
    try:
        method(*args)
    except Exception:  # noqa: BLE001 - it is logged
        complain(method)


def complain(method: Callable[..., None]) -> None:
    """The host's ``method`` has raised; for callers that do without ``tell``, once a job."""
    logger.exception("%s raised", getattr(method, "__qualname__", method))
