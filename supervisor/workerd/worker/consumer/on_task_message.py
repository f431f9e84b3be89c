"""``c.on_task_message``: whom steps have called with each request that is taken in.

A set, as Celery's is, and one for all links: a step may add its method in every ``start``.  While it is
empty, messages cost nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.delivery import Request
    from workerd.worker.controller import WorkController


class RequestCallbacks(set["Callable[[Request], Any]"]):
    """Each is called in the loop, with the request alone; what one raises is logged and changes nothing."""

    def __init__(self, worker: WorkController) -> None:
        super().__init__()
        self._worker = worker

    def tell(self, request: Request) -> None:
        """Call them all; one may take itself away meanwhile."""
        for callback in tuple(self):
            self._worker.hub.guard(callback, (request,))
