"""URLs of brokers and backends: how they are shown, and what stands behind ``embedded``."""

from __future__ import annotations

from workerd.paths import embedded_url
from workerd.urls import masked

EMBEDDED = "embedded"


def resolve(url: str) -> str:
    """``url`` with ``embedded`` replaced by the embedded broker's address."""
    return embedded_url() if url.rstrip("/:") == EMBEDDED else url


def shown(url: str) -> str:
    """``url`` without its password, for messages to people."""
    return masked(url)


def unreachable_hint(url: str) -> str:
    """What to do when nothing answers at ``url``."""
    if resolve(url) == embedded_url():
        return "start it with `workerd start`"
    return "check that the server runs and that the URL is right"
