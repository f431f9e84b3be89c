"""The settings of ``app.conf`` that are honoured, under the names that Celery gives them.

Each has a default and a check of ``app.settings.rules``; the others of Celery are in ``elsewhere``.

Units:   seconds; ``worker_max_memory_per_child`` is kB, as in Celery.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from workerd.app.settings.annotations import task_annotations
from workerd.app.settings.places import exchange_type, queue_type, queues, routes
from workerd.app.settings.rules import (
    Check,
    beat_schedule,
    concurrency,
    count,
    flag,
    lease,
    limit,
    log_format,
    log_level,
    mapping,
    names,
    number,
    one_of,
    optional,
    priority,
    rate,
    seconds,
    short_name,
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
        "beat_cron_starting_deadline": Setting(None, optional(seconds)),
        "beat_lease": Setting(None, optional(lease)),
        "beat_max_loop_interval": Setting(0, seconds),
        "beat_missed": Setting(None, optional(one_of("run-once", "skip"))),
        "beat_schedule": Setting({}, beat_schedule),
        "beat_schedule_filename": Setting(None, optional(text)),
        "broker_url": Setting(None, optional(urls)),
        "broker_read_url": Setting(None, optional(urls)),
        "broker_write_url": Setting(None, optional(urls)),
        "broker_transport_options": Setting({}, mapping),
        "broker_connection_max_retries": Setting(None, optional(count)),
        "broker_connection_retry": Setting(True, flag),
        "broker_connection_retry_on_startup": Setting(None, optional(flag)),
        "broker_connection_timeout": Setting(4, seconds),
        "broker_failover_strategy": Setting(None, optional(text)),
        "broker_heartbeat": Setting(120, optional(number)),
        "broker_login_method": Setting(None, optional(text)),
        "broker_pool_limit": Setting(10, optional(count)),
        "broker_use_ssl": Setting(False, tls),
        "result_backend": Setting(None, optional(text)),
        "result_backend_transport_options": Setting({}, mapping),
        "result_accept_content": Setting(None, optional(names)),
        "result_chord_expires": Setting(None, optional(seconds)),
        "result_chord_join_timeout": Setting(3.0, optional(seconds)),
        "result_chord_retry_interval": Setting(1.0, seconds),
        "result_compression": Setting(None, optional(text)),
        "result_expires": Setting(86400.0, optional(seconds)),
        "result_extended": Setting(False, flag),
        "result_failure_expires": Setting(None, optional(seconds)),
        "result_persistent": Setting(False, flag),
        "result_serializer": Setting("json", one_of("json", "msgpack", "pickle", "yaml")),
        "redis_backend_health_check_interval": Setting(None, optional(seconds)),
        "redis_backend_use_ssl": Setting(None, optional(mapping)),
        "redis_max_connections": Setting(None, optional(count)),
        "redis_socket_connect_timeout": Setting(None, optional(seconds)),
        "redis_socket_keepalive": Setting(False, flag),
        "redis_socket_timeout": Setting(120.0, optional(seconds)),
        "accept_content": Setting(("json",), names),
        "control_exchange": Setting("celery", short_name),
        "control_queue_expires": Setting(10.0, seconds),
        "control_queue_ttl": Setting(300.0, seconds),
        "enable_utc": Setting(True, flag),
        "event_exchange": Setting("celeryev", short_name),
        "event_queue_expires": Setting(60.0, seconds),
        "event_queue_prefix": Setting("celeryev", short_name),
        "event_queue_ttl": Setting(5.0, seconds),
        "event_serializer": Setting("json", text),
        "imports": Setting((), names),
        "include": Setting((), names),
        "timezone": Setting(None, optional(zone)),
        "task_annotations": Setting(None, optional(task_annotations)),
        "task_acks_late": Setting(True, flag),
        "task_acks_on_failure": Setting(True, flag),
        "task_acks_on_timeout": Setting(True, flag),
        "task_allow_error_cb_on_chord_header": Setting(False, flag),
        "task_acks_on_failure_or_timeout": Setting(True, flag),
        "task_always_eager": Setting(False, flag),
        "task_compression": Setting(None, optional(text)),
        "task_create_missing_queues": Setting(True, flag),
        "task_create_missing_queue_exchange_type": Setting(None, optional(exchange_type)),
        "task_create_missing_queue_type": Setting("classic", queue_type),
        "task_default_delivery_mode": Setting(2, one_of(1, 2, "transient", "persistent")),
        "task_default_exchange": Setting(None, optional(text)),
        "task_default_exchange_type": Setting("direct", exchange_type),
        "task_default_priority": Setting(None, optional(priority)),
        "task_default_queue": Setting("celery", text),
        "task_default_queue_type": Setting("classic", queue_type),
        "task_default_rate_limit": Setting(None, optional(rate)),
        "task_default_routing_key": Setting(None, optional(text)),
        "task_eager_propagates": Setting(False, flag),
        "task_ignore_result": Setting(False, flag),
        "task_inherit_parent_priority": Setting(False, flag),
        "task_protocol": Setting(2, one_of(2)),
        "task_publish_retry": Setting(True, flag),
        "task_publish_retry_policy": Setting(RETRY_POLICY, mapping),
        "task_queue_max_priority": Setting(None, optional(count)),
        "task_queues": Setting(None, optional(queues)),
        "task_reject_on_worker_lost": Setting(None, optional(flag)),
        "task_repr_maxlevels": Setting(3, count),
        "task_routes": Setting(None, optional(routes)),
        "task_send_sent_event": Setting(False, flag),
        "task_serializer": Setting("json", text),
        "task_soft_time_limit": Setting(None, optional(limit)),
        "task_store_eager_result": Setting(False, flag),
        "task_store_errors_even_if_ignored": Setting(False, flag),
        "task_time_limit": Setting(None, optional(limit)),
        "task_track_started": Setting(False, flag),
        "worker_concurrency": Setting(None, concurrency),
        "worker_cancel_long_running_tasks_on_connection_loss": Setting(False, flag),
        "worker_deduplicate_successful_tasks": Setting(False, flag),
        "worker_direct": Setting(False, flag),
        "worker_disable_prefetch": Setting(False, flag),
        "worker_disable_rate_limits": Setting(False, flag),
        "worker_enable_remote_control": Setting(True, flag),
        "worker_hijack_root_logger": Setting(False, flag),
        "worker_log_datefmt": Setting(None, optional(text)),
        "worker_log_format": Setting(None, optional(log_format)),
        "worker_max_memory_per_child": Setting(None, optional(count)),
        "worker_max_tasks_per_child": Setting(None, optional(count)),
        "worker_prefetch_multiplier": Setting(None, optional(count)),
        "worker_proc_alive_timeout": Setting(None, optional(limit)),
        "worker_redirect_stdouts": Setting(True, flag),
        "worker_redirect_stdouts_level": Setting(None, optional(log_level)),
        "worker_send_task_events": Setting(False, flag),
        "worker_task_log_datefmt": Setting(None, optional(text)),
        "worker_task_log_format": Setting(None, optional(log_format)),
    }
)
