"""The settings of one daemon, typed.

Units: seconds for times; counts for sizes of pools; bytes for memory.  How they are written: ``parsers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from workerd.paths import DEFAULT_NAME
from workerd_pool.cpus import usable_cpus

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogFormat = Literal["auto", "text", "json"]
QueueOrder = Literal["fair", "strict"]
MissedPolicy = Literal["run-once", "skip"]

DEFAULT_POOL = "default"
"""The name of the pool that every daemon has; its settings stand at the top level."""

MAX_SLOTS = 1000
"""The largest pool; past it a typing error is likelier than a machine that can bear it."""


def default_size() -> tuple[int, int]:
    """One child for each CPU that this process may keep busy, by its affinity and its cgroup's quota."""
    cpus = min(usable_cpus(), MAX_SLOTS)
    return (cpus, cpus)


class Drain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stop ends."""

    timeout: float = 600.0
    """Seconds that running tasks may take to finish, once a stop has begun."""
    grace: float = 5.0
    """Seconds between the soft limit and the kill, and for the broker to take the last settlements."""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the daemon's log goes, and how it looks."""

    format: LogFormat = "auto"
    """``auto``: text, coloured on a terminal, with priorities in the journal; ``text``: plain; ``json``."""
    path: str = ""
    """The log file; empty for stderr."""
    args: bool = False
    """Show the arguments of tasks in their lines, as their senders have written them."""
    storm: int = 50
    """Records of one kind in a second, past which they are only counted; 0 for no limit."""


class Amqp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What RabbitMQ does not tell its clients of itself."""

    consumer_timeout: float = 1800.0
    """Seconds after which it closes a channel that has not settled a message; 0 when it never does."""


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked over the broker; the control socket has the rights of its file."""

    allow: tuple[str, ...] = ("all",)
    """``all``, ``read-only``, ``none``, or the names of commands."""
    key: str = ""
    """With it, what changes something must be signed with the same key; empty for no signatures."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this node tells others over the broker, and hears from them."""

    events: bool = False
    """Send events of tasks, for monitors; they can be switched on and off while the daemon runs."""
    heartbeat: float = 2.0
    """Seconds between two events that say that this node is there; 0 for none."""
    gossip: bool = True
    """Follow which other nodes there are, and take part in their elections."""
    mingle: bool = True
    """Exchange revoked ids and clocks with the other nodes when a link has come."""


class Beat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Periodic tasks."""

    enabled: bool = False
    """This daemon may send them; of all that may, one at a time does."""
    lease: float = 10.0
    """Seconds after which another node does, when that one is silent."""
    missed: MissedPolicy = "run-once"
    """What becomes of ticks for which no node was there: one run for all that were missed, or none."""
    schedule: dict[str, Any] = {}
    """Periodic tasks beside those of the app, by name: see ``config.periodic``."""


class Autoscale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pool moves between the ends of its size."""

    max_wait: float = 1.0
    """Seconds that a message should wait at most before it begins; estimated."""
    window: float = 30.0
    """Seconds for which slots are kept that nothing needs any more."""
    max_load: float = 2.0
    """Load average of the machine, for each of its CPUs, above which no slot is added; 0 for any."""


class Steps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bootsteps beside those that the app adds, each as ``module:attr``."""

    worker: tuple[str, ...] = ()
    """Added to the Worker blueprint."""
    consumer: tuple[str, ...] = ()
    """Added to the Consumer blueprint."""
    plugins: bool = True
    """Add those that installed packages bring, by their entry points ``workerd.bootsteps``."""


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one pool.

    At the top level of a file they are those of the default pool, and what the other pools have where
    ``[pools.NAME]`` says nothing else; only ``queues`` each pool names itself.
    """

    size: tuple[int, int] = msgspec.field(default_factory=default_size)
    """Slots of the pool, (lower, upper); equal when the size is fixed."""
    queues: tuple[str, ...] = ()
    """Queues to consume; empty, in the default pool, means the app's, by default ``celery``."""
    queue_order: QueueOrder = "fair"
    """``fair``: each queue has its turn; ``strict``: one is served only while those before it are empty.
    Redis only, and among messages of the same priority."""
    time_limit: float | None = None
    """Seconds that a task may run before its child is killed; infinity for ever, None as the app says."""
    soft_time_limit: float | None = None
    """Seconds that a task may run before SoftTimeLimitExceeded is raised in it."""
    max_tasks_per_child: int = 0
    """Tasks that a child may begin before it is replaced; 0 for any number."""
    max_memory_per_child: int = 0
    """Bytes that a child may have after a task before it is replaced; 0 for any number."""
    soft_memory_limit: int = 0
    """Bytes that a child may have while a task runs before the task gets MemoryLimitExceeded; 0 for any."""
    memory_limit: int = 0
    """Bytes that a child may have while a task runs before it is killed; 0 for any number."""
    boot_timeout: float = 60.0
    """Seconds for each start-up phase of a template and of a child."""
    autoscale: Autoscale = msgspec.field(default_factory=Autoscale)


class Config(PoolConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting of the daemon, those of its default pool among them.

    Frozen at start; ``restart`` reads it anew.
    """

    app: str = ""
    """Where the App is: ``module``, ``module:attribute`` or ``package.module``."""
    name: str = DEFAULT_NAME
    """The daemon's name: its socket, its state and its part of the node name."""
    broker: tuple[str, ...] = ("embedded",)
    """Broker URLs, tried in order; ``embedded`` is the Valkey server that workerd runs itself."""
    backend: str = ""
    """Result backend URL; empty means ``embedded`` with the embedded broker, else no results."""
    exclude_queues: tuple[str, ...] = ()
    """Queues that no pool consumes, whoever names them."""
    loglevel: LogLevel = "info"
    """How much is logged."""
    max_crashes: int = 3
    """Deaths, of children or of the daemon, that a message may cause before it is put aside."""
    memory_budget: int | None = None
    """Bytes for the daemon with its children; 0 for no budget, None for 90 % of the cgroup's limit."""
    user: str = ""
    """The user that root runs the daemon and its tasks as, a name or a number; empty for root."""
    group: str = ""
    """The group; empty for that user's own."""
    chdir: str = ""
    """The directory that the daemon works in; empty for the one it is started in."""
    pidfile: str = ""
    """A file for the daemon's pid; empty for none."""
    watch: bool = False
    """Reload when the app's own files change."""
    lease: float = 30.0
    """Seconds that this node's in-flight work on Redis is ours without renewal."""
    eta_horizon: float = 60.0
    """Seconds: what is due later than this waits in the broker, and not in this daemon."""
    http: str = ""
    """Where health and metrics are served: ``127.0.0.1:9808``, or ``unix:`` and a path; empty for nowhere."""
    log: Log = msgspec.field(default_factory=Log)
    amqp: Amqp = msgspec.field(default_factory=Amqp)
    control: Control = msgspec.field(default_factory=Control)
    cluster: Cluster = msgspec.field(default_factory=Cluster)
    beat: Beat = msgspec.field(default_factory=Beat)
    drain: Drain = msgspec.field(default_factory=Drain)
    steps: Steps = msgspec.field(default_factory=Steps)
    pools: dict[str, PoolConfig] = {}
    """Pools beside the default one, by name."""

    def all_pools(self) -> dict[str, PoolConfig]:
        """Every pool by its name, the default one first."""
        return {DEFAULT_POOL: self, **self.pools}


SECRET = frozenset({"control.key"})
"""Settings whose values are never shown."""

URLS = frozenset({"broker", "backend"})
"""Settings whose passwords are never shown."""

TABLES: dict[str, type[msgspec.Struct]] = {
    "drain": Drain,
    "autoscale": Autoscale,
    "log": Log,
    "amqp": Amqp,
    "control": Control,
    "cluster": Cluster,
    "beat": Beat,
    "steps": Steps,
}
"""The settings that are tables of settings."""


def dotted(names: Iterable[str]) -> Iterator[str]:
    """The keys of those settings: of a table those within it, ``drain.timeout``."""
    for name in names:
        if name in TABLES:
            yield from (f"{name}.{inner}" for inner in TABLES[name].__struct_fields__)
        else:
            yield name


def tables(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values of dotted keys, as the tables that they stand in."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        table, dot, inner = key.partition(".")
        if dot:
            found.setdefault(table, {})[inner] = value
        else:
            found[key] = value
    return found
