# ruff: noqa: E501 (each is one cell of a table)
"""The words of the table of compatibility that no code can tell; see ``compatibility``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Words = Mapping[str, tuple[str, str]]
"""``same``, ``better`` or ``refused``, and how or why."""

INTRODUCTION = """# What of Celery there is

Everything that a Celery worker of version 5.7 has, and what becomes of it here: **same** means that it does what it does there; **better** says how; **refused** says why not, and what
to do instead. What is refused is an error with that reason, never ignored.

The tables are written from Celery's code and from ours by `tools/compatibility.py`, and a test sees to it that they are up to date. That both sides work together is tried with an unmodified
Celery 5.7 on Redis and RabbitMQ, and with Celery 5.6 and Flower 2.2 (`tests/interop`).
"""

COMMANDS: Words = MappingProxyType(
    {
        "amqp": ("refused", "a shell for AMQP is not a daemon's business: use `rabbitmqadmin`"),
        "beat": ("refused", "not yet: run Celery's beat beside the daemon, its tasks arrive as any others"),
        "call": ("same", "`workerd call`; with `--wait` it prints the result"),
        "control": ("same", "`workerd control`"),
        "events": ("better", "`workerd events` prints a line for each, or JSON; no screen of its own"),
        "flower": ("same", "Flower's own, as it is, with all of its buttons: see [how](../how-to/flower.md)"),
        "graph": ("better", "`workerd graph` draws the steps as text, SVG, dot and mermaid"),
        "inspect": ("same", "`workerd inspect`"),
        "list": ("refused", "the bindings of a broker are listed by its own tools"),
        "logtool": ("refused", "the log is for the tools that read logs"),
        "migrate": ("refused", "celery migrate works on the same queues"),
        "multi": ("better", "`workerd multi`; one daemon has several pools, and `workerd systemd` makes a unit"),
        "purge": ("same", "`workerd purge`; in Python `app.control.purge()`"),
        "report": ("better", "`workerd check` says also what is wrong; `workerd inspect` asks a node for its report"),
        "result": ("same", "`workerd result`"),
        "shell": ("refused", "`python -i` with the app's module does it"),
        "status": ("better", "`workerd status` shows one daemon in all detail, also while the broker is away; `workerd inspect` asks all nodes"),
        "upgrade": ("refused", "old names of settings are understood as they are"),
        "worker": ("better", "`workerd start`"),
    }
)  # fmt: skip

WORKER_OPTIONS: Words = MappingProxyType(
    {
        "--hostname": ("same", "`-n NAME`: the node is NAME@host"),
        "--detach": ("refused", "systemd or a shell does it"),
        "--statedb": ("better", "state is always kept, in the daemon's state directory"),
        "--loglevel": ("same", "`--loglevel`, `info` by default"),
        "--optimization": ("better", "a child is never given what it cannot begin: `fair` without its cost"),
        "--prefetch-multiplier": ("better", "`worker_prefetch_multiplier` is a cap; below it the daemon holds what its slots start within 100 ms"),
        "--disable-prefetch": ("same", "`worker_disable_prefetch`, on RabbitMQ too"),
        "--concurrency": ("same", "`--size N`"),
        "--pool": ("refused", "tasks run in children of their own; pools have names here: `--pool NAME:...`"),
        "--events": ("same", "`-E`"),
        "--time-limit": ("same", ""),
        "--soft-time-limit": ("same", ""),
        "--max-tasks-per-child": ("same", ""),
        "--max-memory-per-child": ("same", "with a unit: `200MB`; `--memory-limit` also acts while a task runs"),
        "--pool-start-method": ("better", "children are forked from a template; spawned where the app has threads"),
        "--discard": ("refused", "nothing is thrown away at a start: `workerd purge` does it"),
        "--queues": ("same", "`-Q`"),
        "--exclude-queues": ("same", "`-X`"),
        "--include": ("same", "the app's settings `include` and `imports`"),
        "--without-gossip": ("same", ""),
        "--without-mingle": ("same", "and no start waits for it"),
        "--without-heartbeat": ("same", ""),
        "--heartbeat-interval": ("same", "`cluster.heartbeat`"),
        "--autoscale": ("better", "`--size 2-8`, by how long messages wait, within a budget of memory"),
        "--beat": ("refused", "not yet"),
        "--schedule": ("refused", "not yet"),
        "--scheduler": ("refused", "not yet"),
        "--logfile": ("refused", "the log goes to stderr: journald or a shell keeps it"),
        "--pidfile": ("better", "locked by the kernel, so that a stale one never matters"),
        "--uid": ("refused", "systemd's `User=` does it, and children never are root by accident"),
        "--gid": ("refused", "systemd's `Group=` does it"),
        "--umask": ("refused", "systemd's `UMask=` does it"),
        "--executable": ("refused", "the interpreter that runs `workerd` is the one"),
    }
)  # fmt: skip

REMOTE: Words = MappingProxyType(
    {
        "autoscale": ("better", "also where the size was fixed, and for each pool"),
        "disable_events": ("better", "also where `-E` was given"),
        "election": ("better", "a single voter elects itself"),
        "memdump": ("same", "the sample of now; earlier ones are not kept"),
        "objgraph": ("refused", "a supervisor holds no objects of tasks; it answers with that error"),
        "pool_restart": ("better", "a reload: new code is tried before old children go; always allowed"),
        "revoke": ("better", "what is revoked is kept in a database, with its time; a task is REVOKED where it would have run, not at every node"),
        "revoked": ("better", "survives a restart and a crash"),
        "scheduled": ("better", "what is due later than `eta_horizon` waits in the broker, and is counted by `stats`"),
        "stats": ("better", "every pool, and what waits in the broker"),
        "terminate": ("better", "`TERM` interrupts the task, so that it can clean up; `KILL` kills all that it has started; others are refused"),
    }
)  # fmt: skip

SIGNALS: Words = MappingProxyType(
    {
        "eventlet_pool_apply": ("refused", "there is no eventlet pool"),
        "eventlet_pool_postshutdown": ("refused", "there is no eventlet pool"),
        "eventlet_pool_preshutdown": ("refused", "there is no eventlet pool"),
        "eventlet_pool_started": ("refused", "there is no eventlet pool"),
        "worker_process_init": ("better", "may take its time (`boot_timeout`); a child in which a receiver raises does not start"),
        "worker_shutting_down": ("better", "for every stop, also one by remote control; not in a signal handler"),
    }
)  # fmt: skip

EVENTS: Words = MappingProxyType(
    {
        "worker-online": ("same", ""),
        "worker-heartbeat": ("same", ""),
        "worker-offline": ("same", ""),
        "task-sent": ("same", ""),
        "task-received": ("same", ""),
        "task-started": ("same", ""),
        "task-succeeded": ("same", ""),
        "task-failed": ("better", "once, also after a hard time limit"),
        "task-rejected": ("same", ""),
        "task-revoked": ("same", ""),
        "task-retried": ("same", ""),
        "task-cancelled": ("refused", "what a stop cuts off goes back to its queue: it is started again, not cancelled"),
    }
)  # fmt: skip

OTHER_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "task_acks_late": "`True` by default: at least once, and nothing is lost",
        "worker_prefetch_multiplier": "A cap, by default none: the daemon holds what its slots start within 100 ms",
        "worker_hijack_root_logger": "`False` by default: the app's own handlers stay",
        "broker_connection_max_retries": "By default tried for ever",
        "broker_heartbeat": "9 seconds at most",
        "broker_transport_options": "`confirm_publish` is True unless it is set: a call waits until RabbitMQ has its message",
        "worker_redirect_stdouts_level": "By default `INFO` for stdout and `WARNING` for stderr",
        "worker_disable_prefetch": "On RabbitMQ too",
        "worker_log_format": "By default Celery's own",
        "worker_task_log_format": "For what tasks log and print, where it is set",
        "task_acks_on_failure": "`True` by default, as Celery's pair of them is",
        "task_acks_on_timeout": "`True` by default, as Celery's pair of them is",
        "task_reject_on_worker_lost": "By default a run that is cut off starts again, `max_crashes` times at most; `False`: it fails at once",
        "worker_proc_alive_timeout": "The daemon's boot_timeout, which is never less than 60 seconds",
        "worker_deduplicate_successful_tasks": "Asks the result backend about what is redelivered; on one node no finished run repeats anyway",
        "task_protocol": "2 is sent; 1 is understood",
    }
)  # fmt: skip

CANVAS: Words = MappingProxyType(
    {
        "signature, partials, immutability": ("Task.s", ""),
        "link, link_error": ("Task.apply_async", ""),
        "chain": ("chain", ""),
        "group": ("group", ""),
        "chord": ("chord", ""),
        "map, starmap": ("Task.map", ""),
        "chunks": ("Task.chunks", ""),
        "replace": ("Task.replace", ""),
        "add_to_chord": ("Task.add_to_chord", ""),
        "retry, autoretry": ("Task.retry", ""),
    }
)
"""Where the code has it: a name of ``workerd``, or of its ``Task``."""
