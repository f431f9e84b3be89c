"""The names in capitals that settings had before Celery 4, and still may have: ``CELERYD_CONCURRENCY``.

Most are today's name in capitals, or that with ``CELERY_`` before it; what follows no rule is listed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from types import MappingProxyType

_PREFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CELERYD_TASK_": ("worker_task_", "task_"),
        "CELERYD_WORKER_": ("worker_",),
        "CELERYD_": ("worker_",),
        "CELERYBEAT_": ("beat_",),
        "CELERY_RESULT_DB_": ("database_",),
        "CELERY_": ("", "task_", "worker_"),
        "": ("",),
    }
)
"""Beginnings of old names, the longest first, and what today's name may have in that place."""

_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "CELERYBEAT_SCHEDULE": "beat_schedule",
        "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
        "CELERY_MAX_CACHED_RESULTS": "result_cache_max",
        "CELERY_MESSAGE_COMPRESSION": "task_compression",
        "CELERY_RESULT_DBURI": "database_url",
        "CELERY_RESULT_DB_TABLENAMES": "database_table_names",
        "CELERY_RESULT_ENGINE_OPTIONS": "database_engine_options",
        "CELERY_SEND_EVENTS": "worker_send_task_events",
        "CELERY_SEND_TASK_SENT_EVENT": "task_send_sent_event",
        "CELERY_TASK_RESULT_EXPIRES": "result_expires",
    }
)


def todays_name(name: str, known: Container[str]) -> str | None:
    """Today's name for an old one; None where ``known`` has none for it."""
    if name != name.upper():
        return None
    return next((found for found in _guesses(name) if found in known), None)


def looks_meant(name: str) -> bool:
    """Whether a name in capitals is meant for us at all, and not for another part of a settings module."""
    return name.startswith(("CELERY", "BROKER_"))


def _guesses(name: str) -> Iterator[str]:
    if name in _OTHERS:
        yield _OTHERS[name]
    for prefix, beginnings in _PREFIXES.items():
        if name.startswith(prefix):
            rest = name.removeprefix(prefix).lower()
            yield from (beginning + rest for beginning in beginnings)
