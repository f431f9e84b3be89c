"""Pools in the settings: how they are named, and what cannot be true of all of them together.

A pool's settings are flat keys like all others, ``pools.video.size``.

Errors: ConfigError, one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from workerd.config.model import DEFAULT_POOL, Config, PoolConfig, dotted, tables
from workerd.errors import ConfigError

PREFIX = "pools."

POOL_KEYS = tuple(dotted(PoolConfig.__struct_fields__))

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_FORM = "NAME:queues=A,B,size=1-2"


def split_key(key: str, source: str) -> tuple[str, str]:
    """(pool, setting) of ``pools.video.size``; the setting is empty where only the pool is named."""
    name, _, setting = key.removeprefix(PREFIX).partition(".")
    if name == DEFAULT_POOL:
        raise ConfigError(
            f"pool {name!r} from {source} cannot have settings of its own",
            "the default pool's settings stand at the top level",
        )
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"pool name {name!r} from {source} cannot be used",
            "write 1 to 32 small letters, digits, - or _, a letter first",
        )
    return name, setting


def parse_pool(text: str) -> dict[str, str]:
    """Flat keys from ``video:queues=video,thumbs,size=1-2``; a part without ``=`` goes on with the value
    before it."""
    name, colon, rest = text.partition(":")
    found: dict[str, str] = {}
    key = ""
    for part in rest.split(","):
        setting, equals, value = part.partition("=")
        if equals:
            key = f"{PREFIX}{name.strip()}.{setting.strip()}"
            found[key] = value
        elif key:
            found[key] += f",{part}"
    if not colon or not found:
        raise ConfigError(f"--pool {text!r} cannot be read", f"write --pool {_FORM}")
    return found


def nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each named pool, over those that the top level gives to all."""
    shared = {key: flat[key] for key in POOL_KEYS if key in flat and key != "queues"}
    pools: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        if key.startswith(PREFIX):
            name, _, setting = key.removeprefix(PREFIX).partition(".")
            pool = pools.setdefault(name, dict(shared))
            if setting:
                pool[setting] = value
    return {name: tables(pool) for name, pool in pools.items()}


def check_pools(config: Config) -> None:
    """Every named pool has queues, no queue has two pools, and soft limits come before hard ones."""
    owners: dict[str, str] = {}
    for name, pool in config.all_pools().items():
        check_limits(name, pool)
        if not pool.queues and name != DEFAULT_POOL:
            raise ConfigError(
                f"pool {name!r} has no queues",
                f"name them: queues = [...] in [pools.{name}], or --pool {name}:queues=A,B",
            )
        for queue in pool.queues:
            if owners.setdefault(queue, name) != name:
                raise ConfigError(
                    f"queue {queue!r} is in two pools, {owners[queue]!r} and {name!r}",
                    "a queue belongs to one pool; take it out of the other",
                )


def check_limits(name: str, pool: PoolConfig) -> None:
    """A soft limit that is no sooner than the hard one would never be seen."""
    where = "" if name == DEFAULT_POOL else f" of pool {name!r}"
    soft, hard = pool.soft_time_limit, pool.time_limit
    if soft is not None and hard is not None and soft >= hard and soft < math.inf:
        raise ConfigError(
            f"the soft_time_limit{where}, {soft:g}s, does not come before its time_limit, {hard:g}s",
            "make it shorter, or leave one of them out",
        )
    if pool.memory_limit and pool.soft_memory_limit >= pool.memory_limit:
        raise ConfigError(
            f"the soft_memory_limit{where} does not come before its memory_limit",
            "make it smaller, or leave one of them out",
        )


def order_without_effect(pools: Mapping[str, PoolConfig]) -> str:
    """What is to be told of ``queue_order`` where the broker is RabbitMQ; empty when nothing is."""
    strict = [name for name, pool in pools.items() if pool.queue_order == "strict" and len(pool.queues) != 1]
    if not strict:
        return ""
    several = "s" * (len(strict) > 1)
    return f"queue_order = strict has no effect on RabbitMQ (pool{several} {', '.join(strict)})"


def left_for_default(queues: Iterable[str], pools: Mapping[str, PoolConfig]) -> list[str]:
    """Those of the app's queues that no named pool has taken; the default pool consumes them."""
    taken = {queue for pool in pools.values() for queue in pool.queues}
    left = [queue for queue in queues if queue not in taken]
    if not left:
        raise ConfigError(
            "the default pool has no queues: other pools have taken all of the app's",
            "name some with --queues, or leave it one of theirs",
        )
    return left
