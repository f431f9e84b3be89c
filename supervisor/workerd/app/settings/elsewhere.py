"""Settings of Celery that are not honoured by a switch of their own here, each with the reason.

What such a setting asks for may hold anyway (``allows`` is None: every value may be given, and the daemon
says at its start why it changes nothing), or cannot be had (only the values in ``allows`` and the default may
be given; any other is a ConfigError with the reason and the way to go).  None is ignored in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Elsewhere(NamedTuple):
    """One such setting."""

    default: Any
    """Celery's own."""
    why: str
    """Why it changes nothing, or cannot be had; goes on after a colon."""
    instead: str
    """What to do about it, in the imperative."""
    allows: tuple[Any, ...] | None = None
    """Values that mean what happens here anyway, beside the default; None for all."""

    def check(self, value: Any) -> Any:
        """The value itself.  Errors: ValueError for one that cannot be had."""
        if self.allows is not None and value != self.default and value not in self.allows:
            raise ValueError(f"{self.why}; {self.instead}")
        return value

    @property
    def verdict(self) -> str:
        """``no effect``, or ``refused``."""
        return "no effect" if self.allows is None else "refused"


_URL = "parts of an URL are not read one by one"
_OWN_QUEUE = "the daemon's own queues end with its link and are nobody else's"
_SIGNED = "messages of tasks are not signed or sealed"
_TLS = "use TLS and the broker's accounts; control.key signs remote control"
_ALWAYS = "leave it out"

ELSEWHERE: Mapping[str, Elsewhere] = MappingProxyType(
    {
        # -- beat
        "beat_enable_remote_control": Elsewhere(
            False, "a beat has no remote control of its own", _ALWAYS, ()
        ),
        "beat_remote_control_max_tick_age": Elsewhere(
            None, "a beat has no remote control of its own", _ALWAYS, ()
        ),
        "beat_scheduler": Elsewhere(
            "celery.beat:PersistentScheduler",
            "a class made for Celery's beat cannot be used",
            "write schedules of your own in beat_schedule",
            (),
        ),
        "beat_sync_every": Elsewhere(0, "state is written as it changes", _ALWAYS),
        # -- the broker
        "broker_channel_error_retry": Elsewhere(
            False, "a channel that the broker closes never ends the daemon", _ALWAYS
        ),
        "broker_heartbeat_checkrate": Elsewhere(
            3.0, "heartbeats are looked at as often as they have to be", "set broker_heartbeat"
        ),
        "broker_host": Elsewhere(None, _URL, "write it in broker_url", ()),
        "broker_native_delayed_delivery_queue_type": Elsewhere(
            "quorum",
            "what waits in RabbitMQ is in quorum queues, or in classic ones where it has no others",
            "leave it at 'quorum'",
            (),
        ),
        "broker_password": Elsewhere(None, _URL, "write it in broker_url", ()),
        "broker_pool_acquire_timeout": Elsewhere(
            None,
            "a call waits for a connection until one is free",
            "set broker_pool_limit to None for no waiting",
            (),
        ),
        "broker_port": Elsewhere(None, _URL, "write it in broker_url", ()),
        "broker_transport": Elsewhere(None, _URL, "write it as the scheme of broker_url", ()),
        "broker_user": Elsewhere(None, _URL, "write it in broker_url", ()),
        "broker_vhost": Elsewhere(None, _URL, "write it in broker_url", ()),
        # -- remote control and events
        "control_queue_durable": Elsewhere(False, _OWN_QUEUE, _ALWAYS, ()),
        "control_queue_exclusive": Elsewhere(True, _OWN_QUEUE, _ALWAYS),
        "event_queue_durable": Elsewhere(False, _OWN_QUEUE, _ALWAYS, ()),
        "event_queue_exclusive": Elsewhere(True, _OWN_QUEUE, _ALWAYS),
        # -- results
        "database_create_tables_at_setup": Elsewhere(True, "results are not kept in SQL", "use Redis", ()),
        "database_engine_callback": Elsewhere(None, "results are not kept in SQL", "use Redis", ()),
        "database_engine_options": Elsewhere(
            {"pool_pre_ping": True, "pool_recycle": 3600}, "results are not kept in SQL", "use Redis", ()
        ),
        "database_short_lived_sessions": Elsewhere(False, "results are not kept in SQL", "use Redis", ()),
        "database_table_names": Elsewhere(None, "results are not kept in SQL", "use Redis", ()),
        "database_table_schemas": Elsewhere(None, "results are not kept in SQL", "use Redis", ()),
        "database_url": Elsewhere(None, "results are not kept in SQL", "use Redis", ()),
        "redis_backend_credential_provider": Elsewhere(
            None, "passwords are read from the URL alone", "write it in result_backend", ()
        ),
        "redis_client_name": Elsewhere(None, "connections are called workerd", _ALWAYS),
        "redis_db": Elsewhere(None, _URL, "write it in result_backend", ()),
        "redis_host": Elsewhere(None, _URL, "write it in result_backend", ()),
        "redis_password": Elsewhere(None, _URL, "write it in result_backend", ()),
        "redis_port": Elsewhere(None, _URL, "write it in result_backend", ()),
        "redis_retry_on_timeout": Elsewhere(False, "a result that was not stored is stored again", _ALWAYS),
        "redis_username": Elsewhere(None, _URL, "write it in result_backend", ()),
        "result_backend_always_retry": Elsewhere(
            False, "the daemon keeps a result until the backend has taken it", _ALWAYS
        ),
        "result_backend_base_sleep_between_retries_ms": Elsewhere(
            10, "the daemon keeps a result until the backend has taken it", _ALWAYS
        ),
        "result_backend_max_retries": Elsewhere(
            float("inf"), "the daemon keeps a result until the backend has taken it", _ALWAYS
        ),
        "result_backend_max_sleep_between_retries_ms": Elsewhere(
            10000, "the daemon keeps a result until the backend has taken it", _ALWAYS
        ),
        "result_backend_thread_safe": Elsewhere(False, "a backend may be used by several threads", _ALWAYS),
        "result_cache_max": Elsewhere(-1, "results are not kept in the client", _ALWAYS, (0, None)),
        "result_exchange": Elsewhere("celeryresults", "Celery itself does not use it any more", _ALWAYS),
        "result_exchange_type": Elsewhere("direct", "Celery itself does not use it any more", _ALWAYS),
        # -- signed messages
        "security_cert_store": Elsewhere(None, _SIGNED, _TLS, ()),
        "security_certificate": Elsewhere(None, _SIGNED, _TLS, ()),
        "security_digest": Elsewhere("sha256", _SIGNED, _TLS, ()),
        "security_key": Elsewhere(None, _SIGNED, _TLS, ()),
        "security_key_password": Elsewhere(None, _SIGNED, _TLS, ()),
        # -- tasks
        "task_remote_tracebacks": Elsewhere(
            False,
            "a failed result carries its traceback as text, and tracebacks of tblib are not made",
            "read AsyncResult.traceback",
            (),
        ),
        "task_retry_on_worker_lost": Elsewhere(
            False,
            "a run that is cut off by its child's death starts again by itself, max_crashes times at most",
            "set max_crashes, or task_reject_on_worker_lost=False to fail at the first death",
        ),
        # -- the worker
        "worker_agent": Elsewhere(
            None, "there is no agent of Celery's kind", "add a step: app.steps['consumer'].add(...)", ()
        ),
        "worker_autoscaler": Elsewhere(
            "celery.worker.autoscale:Autoscaler",
            "a class made for Celery's pool cannot drive this one",
            "set size = '2-8' and [autoscale], or add a step in its place",
            ("workerd.worker.autoscaler:Autoscaler",),
        ),
        "worker_consumer": Elsewhere(
            "celery.worker.consumer:Consumer",
            "a class made for Celery's worker cannot be used",
            "add steps: app.steps['consumer'].add(...)",
            (),
        ),
        "worker_detect_quorum_queues": Elsewhere(
            True, "the type of each queue is found out, and its prefetch limit set to match", _ALWAYS
        ),
        "worker_enable_prefetch_count_reduction": Elsewhere(
            True, "what is held is counted anew over each link", _ALWAYS
        ),
        "worker_enable_soft_shutdown_on_idle": Elsewhere(
            False, "a stop ends as soon as nothing runs", "set drain.timeout", (True,)
        ),
        "worker_eta_task_limit": Elsewhere(
            None, "what is due later than eta_horizon waits in the broker", "set eta_horizon"
        ),
        "worker_log_color": Elsewhere(
            None, "text has colours on a terminal", "set NO_COLOR or FORCE_COLOR in the environment"
        ),
        "worker_lost_wait": Elsewhere(10.0, "the end of a child is known at once, by its pidfd", _ALWAYS),
        "worker_pool": Elsewhere(
            "prefork",
            "tasks run in children of their own, one at a time each",
            "leave it at 'prefork' and set size; for more pools see [pools.NAME]",
            ("processes",),
        ),
        "worker_pool_putlocks": Elsewhere(True, "a child is given what it can begin, and no more", _ALWAYS),
        "worker_pool_restarts": Elsewhere(
            False, "pool_restart is a reload, which is always there", "say in control.allow who may"
        ),
        "worker_pool_start_method": Elsewhere(
            "fork",
            "children are forked from a template, or spawned where its app has threads",
            "leave it at 'fork'",
            (),
        ),
        "worker_soft_shutdown_timeout": Elsewhere(
            0.0,
            "SIGTERM drains, and again interrupts what runs and kills it after drain.grace",
            "set drain.timeout and drain.grace",
        ),
        "worker_state_db": Elsewhere(
            None, "state is always kept, in the daemon's state directory", "set WORKERD_STATE_DIR"
        ),
        "worker_timer": Elsewhere(
            None, "timers are the loop's own, which fires each as it is due", "use worker.timer in a step", ()
        ),
        "worker_timer_precision": Elsewhere(1.0, "the loop fires each timer as it is due", _ALWAYS),
    }
)
