"""The commands that act on pools and their queues: names, arguments and answers are Celery's."""

from __future__ import annotations

from typing import Any

import msgspec

from workerd.config.model import DEFAULT_POOL
from workerd.control.daemon import Daemon
from workerd.control.registry import Remote, Request
from workerd.control.remote.inspect import Anything
from workerd.control.remote.making import remote_command

Answer = dict[str, Any]


class Slots(msgspec.Struct):
    """``n``: how many."""

    n: int | None = None
    pool: str = DEFAULT_POOL


class Range(msgspec.Struct, forbid_unknown_fields=True):
    """``max`` and ``min``: slots."""

    max: int | None = None
    min: int | None = None
    pool: str = DEFAULT_POOL


class AddConsumer(msgspec.Struct):
    """Further options are kombu's of a queue."""

    queue: str
    exchange: str | None = None
    exchange_type: str | None = None
    routing_key: str | None = None


class CancelConsumer(msgspec.Struct):
    """``queue``: its name."""

    queue: str


@remote_command(
    Remote("control", signature="[N]", positional=(("n", int),)), Slots, text="let the pool have N slots more"
)
def pool_grow(daemon: Daemon, request: Request[Slots]) -> Answer:
    return _resize(daemon, request.args, "pool_grow", "+", "pool will grow")


@remote_command(
    Remote("control", signature="[N]", positional=(("n", int),)),
    Slots,
    text="let the pool have N slots fewer",
)
def pool_shrink(daemon: Daemon, request: Request[Slots]) -> Answer:
    return _resize(daemon, request.args, "pool_shrink", "-", "pool will shrink")


def _resize(daemon: Daemon, args: Slots, name: str, sign: str, said: str) -> Answer:
    size = daemon.scale("+0", args.pool, True)
    if size["lower"] < size["upper"]:
        return {"error": f"{name} is not supported with autoscale. Adjust autoscale range instead."}
    daemon.scale(f"{sign}{1 if args.n is None else args.n}", args.pool, False)
    return {"ok": said}


@remote_command(Remote("control"), Anything, text="load the app anew, as `workerd reload` does")
def pool_restart(daemon: Daemon, request: Request[Anything]) -> Answer:
    daemon.ask_reload(_forget)
    return {"ok": "reload started"}


def _forget(ok: bool, message: str, traceback: str) -> None:
    """The log tells how it ended."""


@remote_command(
    Remote("control", signature="[MAX [MIN]]", positional=(("max", int), ("min", int))),
    Range,
    text="let the pool move between MIN and MAX slots",
)
def autoscale(daemon: Daemon, request: Request[Range]) -> Answer:
    args = request.args
    size = daemon.scale("+0", args.pool, True)
    upper = size["upper"] if args.max is None else args.max
    lower = min(size["lower"], upper) if args.min is None else args.min
    changed = daemon.scale(f"{max(lower, 1)}-{upper}", args.pool, False)
    return {"ok": f"autoscale now max={changed['upper']} min={changed['lower']}"}


@remote_command(
    Remote(
        "control",
        signature="QUEUE [EXCHANGE [TYPE [ROUTING_KEY]]]",
        positional=(("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)),
    ),
    AddConsumer,
    text="consume a queue from now on",
)
def add_consumer(daemon: Daemon, request: Request[AddConsumer]) -> Answer:
    options = msgspec.structs.asdict(request.args) | request.rest
    queue = options.pop("queue")
    daemon.node.add_consumer(queue, options)
    return {"ok": f"add consumer {queue}"}


@remote_command(
    Remote("control", signature="QUEUE", positional=(("queue", str),)),
    CancelConsumer,
    text="consume a queue no more",
)
def cancel_consumer(daemon: Daemon, request: Request[CancelConsumer]) -> Answer:
    daemon.node.cancel_consumer(request.args.queue)
    return {"ok": f"no longer consuming from {request.args.queue}"}


POOLS = (pool_grow, pool_shrink, pool_restart, autoscale, add_consumer, cancel_consumer)
