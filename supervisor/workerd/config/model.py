"""The settings of one daemon, typed.

Units: seconds for times; counts for sizes of pools; bytes for memory.  Times may be written with a unit
("90s", "10m", "2h"), memory must be ("200MB", "1.5GB"; units of 1024).
Errors: ValueError from the parsers here; ``config.load`` turns it into ConfigError with the place.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from workerd.paths import DEFAULT_NAME

LogLevel = Literal["debug", "info", "warning", "error", "critical"]

_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg])(?:i?b)?", re.IGNORECASE)
_BYTE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")

DEFAULT_POOL = "default"
"""The name of the pool that every daemon has; its settings stand at the top level."""

MAX_SLOTS = 1000
"""The largest pool; past it a typing error is likelier than a machine that can bear it."""


def default_size() -> tuple[int, int]:
    """One child for each CPU that this process may use."""
    cpus = min(len(os.sched_getaffinity(0)), MAX_SLOTS)
    return (cpus, cpus)


class Drain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stop ends."""

    timeout: float = 600.0
    """Seconds that running tasks may take to finish, once a stop has begun."""
    grace: float = 5.0
    """Seconds between the soft limit and the kill, and for the broker to take the last settlements."""


class Autoscale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pool moves between the ends of its size."""

    max_wait: float = 1.0
    """Seconds that a message should wait at most before it begins; estimated."""
    window: float = 30.0
    """Seconds for which slots are kept that nothing needs any more."""
    max_load: float = 2.0
    """Load average of the machine, for each of its CPUs, above which no slot is added; 0 for any."""


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one pool.

    At the top level of a file they are those of the default pool, and what the other pools have where
    ``[pools.NAME]`` says nothing else; only ``queues`` each pool names itself.
    """

    size: tuple[int, int] = msgspec.field(default_factory=default_size)
    """Slots of the pool, (lower, upper); equal when the size is fixed."""
    queues: tuple[str, ...] = ()
    """Queues to consume; empty, in the default pool, means the app's, by default ``celery``."""
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
    loglevel: LogLevel = "info"
    max_crashes: int = 3
    """Deaths, of children or of the daemon, that a message may cause before it is put aside."""
    memory_budget: int | None = None
    """Bytes for the daemon with its children; 0 for no budget, None for 90 % of the cgroup's limit."""
    watch: bool = False
    """Reload when the app's own files change."""
    lease: float = 30.0
    """Seconds that this node's in-flight work on Redis is ours without renewal."""
    drain: Drain = msgspec.field(default_factory=Drain)
    pools: dict[str, PoolConfig] = {}
    """Pools beside the default one, by name."""

    def all_pools(self) -> dict[str, PoolConfig]:
        """Every pool by its name, the default one first."""
        return {DEFAULT_POOL: self, **self.pools}


TABLES: dict[str, type[msgspec.Struct]] = {"drain": Drain, "autoscale": Autoscale}
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


def parse_duration(value: Any) -> float:
    """Seconds, 0 or more and finite, from a number or a text such as ``10m``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif (match := _DURATION.fullmatch(str(value).strip())) is not None:
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    else:
        raise ValueError("write seconds, or a number with ms, s, m, h or d")
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise ValueError("a time must be 0 or more, and finite")
    return seconds


def parse_positive_duration(value: Any) -> float:
    """As ``parse_duration``, for times without which nothing could ever be in time."""
    seconds = parse_duration(value)
    if seconds == 0:
        raise ValueError("this time must be more than 0")
    return seconds


def parse_limit(value: Any) -> float | None:
    """Seconds as ``parse_duration``; infinity from ``none`` or 0, None from ``app``."""
    word = str(value).strip().lower()
    if word == "app":
        return None
    try:
        seconds = math.inf if word == "none" else parse_duration(value)
    except ValueError:
        raise ValueError("write seconds, or a number with ms, s, m, h or d; none, or app") from None
    return seconds or math.inf


def parse_count(value: Any) -> int:
    """A whole number, 1 or more, from ``3`` or ``"3"``."""
    if re.fullmatch(r"\d{1,9}", str(value).strip()) is None or int(value) < 1:
        raise ValueError("write a whole number, 1 or more")
    return int(value)


def parse_count_or_none(value: Any) -> int:
    """As ``parse_count``, with 0 for no limit."""
    if str(value).strip() == "0":
        return 0
    try:
        return parse_count(value)
    except ValueError:
        raise ValueError("write a whole number, 0 for no limit") from None


def parse_bytes(value: Any) -> int:
    """Bytes from a text such as ``200MB``, in units of 1024; 0 for no limit."""
    text = str(value).strip()
    if text == "0":
        return 0
    # A bare number is refused: Celery counts it in kB, others in bytes.
    if (match := _BYTES.fullmatch(text)) is None:
        raise ValueError("write a number with kB, MB or GB, such as 200MB, or 0 for no limit")
    return int(float(match[1]) * _BYTE_UNITS[match[2].lower()])


def parse_budget(value: Any) -> int | None:
    """As ``parse_bytes``; None from ``auto``."""
    if str(value).strip().lower() == "auto":
        return None
    try:
        return parse_bytes(value)
    except ValueError:
        raise ValueError("write a number with kB, MB or GB, such as 4GB, 0 for no budget, or auto") from None


def parse_size(value: Any) -> tuple[int, int]:
    """(lower, upper), at most ``MAX_SLOTS``, from ``4``, ``"4"``, ``"2-8"`` or ``[2, 8]``."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        lower, upper = int(value[0]), int(value[1])
    elif (match := _SIZE.fullmatch(str(value).strip())) is not None:
        lower, upper = int(match[1]), int(match[2] or match[1])
    else:
        raise ValueError("write a number or a range such as 2-8")
    if not 1 <= lower <= upper:
        raise ValueError(f"needs 1 <= lower <= upper, not {lower}-{upper}")
    if upper > MAX_SLOTS:
        raise ValueError(f"needs {MAX_SLOTS} slots or fewer")
    return lower, upper


def parse_names(value: Any) -> tuple[str, ...]:
    """A tuple of words from ``"a,b"`` or ``["a", "b"]``; an empty list is the default's way to say none."""
    if isinstance(value, (list, tuple)):
        return tuple(str(word).strip() for word in value)
    names = tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else ()
    if not names:
        raise ValueError("write one name or more, with commas between them")
    return names


def parse_load(value: Any) -> float:
    """A finite number, 0 or more."""
    try:
        load = float(value)
    except (TypeError, ValueError):
        load = math.nan
    if not (load >= 0 and math.isfinite(load)):
        raise ValueError("write a number, 0 or more; 0 for no limit")
    return load


def parse_flag(value: Any) -> bool:
    """True or False, from a boolean or the words that people use for one."""
    word = str(value).strip().lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError("write true or false")


def parse_level(value: Any) -> str:
    """A log level, in lower case."""
    level = str(value).lower()
    if level not in get_args(LogLevel):
        raise ValueError(f"write one of {', '.join(get_args(LogLevel))}")
    return level


PARSERS: dict[str, Callable[[Any], Any]] = {
    "size": parse_size,
    "queues": parse_names,
    "broker": parse_names,
    "max_crashes": parse_count,
    "time_limit": parse_limit,
    "soft_time_limit": parse_limit,
    "max_tasks_per_child": parse_count_or_none,
    "max_memory_per_child": parse_bytes,
    "soft_memory_limit": parse_bytes,
    "memory_limit": parse_bytes,
    "memory_budget": parse_budget,
    "boot_timeout": parse_positive_duration,
    "autoscale.max_wait": parse_positive_duration,
    "autoscale.window": parse_duration,
    "autoscale.max_load": parse_load,
    "watch": parse_flag,
    "lease": parse_positive_duration,
    "drain.timeout": parse_duration,
    "drain.grace": parse_duration,
    "loglevel": parse_level,
}
