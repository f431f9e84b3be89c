"""Pages: what is served under which path.  Pure, but for asking the daemon.

``/livez``: the daemon gets on, and a restart would help nobody.  ``/readyz``: it runs tasks.  Both are 200 or
503, with the reason.  ``/metrics``: always 200, so that an alert has ``workerd_up`` to look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from workerd.worker.http.asking import Asking
from workerd.worker.http.families import Families

TEXT = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """One answer."""

    status: int
    kind: str
    body: bytes


class Pages:
    """``registry`` is asked for each ``/metrics``; what it collects beside is its owner's."""

    def __init__(self, health: Asking, metrics: Asking, registry: CollectorRegistry) -> None:
        self._health, self._metrics, self._registry = health, metrics, registry
        registry.register(Families(lambda: self._metrics.answer()[0]))

    def page(self, path: str, accept: str = "") -> Page:
        """The page at ``path``, a query in it changes nothing; ``accept`` is the header of that name."""
        match path.partition("?")[0].rstrip("/"):
            case "/livez":
                return self._judged("live")
            case "/readyz":
                return self._judged("ready")
            case "/metrics":
                encode, kind = choose_encoder(accept)
                return Page(200, kind, encode(self._registry))
            case "":
                return Page(200, TEXT, b"/livez\n/readyz\n/metrics\n")
        return Page(404, TEXT, b"no such page: there are /livez, /readyz and /metrics\n")

    def _judged(self, what: str) -> Page:
        found, why = self._health.answer()
        if found is None:
            return _page(503, f"not {what}: {why}")
        return _page(200, what) if found[what] else _page(503, f"not {what}: {reasons(found)}")


def reasons(found: Mapping[str, Any]) -> str:
    """In one line."""
    return "; ".join(found["reasons"]) or "no reason is known"


def _page(status: int, text: str) -> Page:
    return Page(status, TEXT, f"{text}\n".encode())
