"""The settings of ``app.conf`` that are honoured, under the names that Celery gives them.

Each has a default and a check of ``app.rules``.

Units:   seconds; ``worker_max_memory_per_child`` is kB, as in Celery.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from workerd.app.rules import (
    Check,
    concurrency,
    count,
    flag,
    limit,
    mapping,
    names,
    number,
    one_of,
    optional,
    priority,
    queues,
    seconds,
    text,
    tls,
    urls,
    zone,
)


class Setting(NamedTuple):
    """One name of ``app.conf``."""

    default: Any
    check: Check


RETRY_POLICY = {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2}

SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "broker_url": Setting(None, optional(urls)),
        "broker_read_url": Setting(None, optional(urls)),
        "broker_write_url": Setting(None, optional(urls)),
        "broker_transport_options": Setting({}, mapping),
        "broker_connection_timeout": Setting(4, seconds),
        "broker_failover_strategy": Setting(None, optional(text)),
        "broker_heartbeat": Setting(120, optional(number)),
        "broker_login_method": Setting(None, optional(text)),
        "broker_pool_limit": Setting(10, optional(count)),
        "broker_use_ssl": Setting(False, tls),
        "result_backend": Setting(None, optional(text)),
        "result_backend_transport_options": Setting({}, mapping),
        "result_accept_content": Setting(None, optional(names)),
        "result_compression": Setting(None, optional(text)),
        "result_expires": Setting(86400.0, optional(seconds)),
        "result_extended": Setting(False, flag),
        "result_failure_expires": Setting(None, optional(seconds)),
        "result_serializer": Setting("json", one_of("json", "yaml")),
        "redis_backend_health_check_interval": Setting(None, optional(seconds)),
        "redis_backend_use_ssl": Setting(None, optional(mapping)),
        "redis_max_connections": Setting(None, optional(count)),
        "redis_socket_connect_timeout": Setting(None, optional(seconds)),
        "redis_socket_keepalive": Setting(False, flag),
        "redis_socket_timeout": Setting(120.0, optional(seconds)),
        "accept_content": Setting(("json",), names),
        "enable_utc": Setting(True, flag),
        "imports": Setting((), names),
        "include": Setting((), names),
        "timezone": Setting(None, optional(zone)),
        "task_acks_late": Setting(True, flag),
        "task_acks_on_failure": Setting(True, flag),
        "task_acks_on_timeout": Setting(True, flag),
        "task_always_eager": Setting(False, flag),
        "task_compression": Setting(None, optional(text)),
        "task_create_missing_queues": Setting(True, flag),
        "task_default_delivery_mode": Setting(2, one_of(1, 2, "transient", "persistent")),
        "task_default_exchange": Setting(None, optional(text)),
        "task_default_exchange_type": Setting("direct", one_of("direct", "topic", "fanout", "headers")),
        "task_default_priority": Setting(None, optional(priority)),
        "task_default_queue": Setting("celery", text),
        "task_default_routing_key": Setting(None, optional(text)),
        "task_eager_propagates": Setting(False, flag),
        "task_ignore_result": Setting(False, flag),
        "task_inherit_parent_priority": Setting(False, flag),
        "task_protocol": Setting(2, one_of(2)),
        "task_publish_retry": Setting(True, flag),
        "task_publish_retry_policy": Setting(RETRY_POLICY, mapping),
        "task_queue_max_priority": Setting(None, optional(count)),
        "task_queues": Setting(None, optional(queues)),
        "task_repr_maxlevels": Setting(3, count),
        "task_routes": Setting(None, optional(mapping)),
        "task_serializer": Setting("json", text),
        "task_soft_time_limit": Setting(None, optional(limit)),
        "task_store_eager_result": Setting(False, flag),
        "task_store_errors_even_if_ignored": Setting(False, flag),
        "task_time_limit": Setting(None, optional(limit)),
        "task_track_started": Setting(False, flag),
        "worker_concurrency": Setting(None, concurrency),
        "worker_max_memory_per_child": Setting(None, optional(count)),
        "worker_max_tasks_per_child": Setting(None, optional(count)),
    }
)
