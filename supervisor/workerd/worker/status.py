"""What ``workerd status`` shows: plain values, read at once from the parts that know them."""

from __future__ import annotations

import logging
import math
import os
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict

import workerd
from workerd.backends.url import shown
from workerd.delivery import Bucket, Limits, Request, Stage, TokenBucket
from workerd.protocol.rate import rate_text

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController
    from workerd.worker.pool.step import NamedPool
    from workerd_pool import ChildInfo
    from workerd_pool.death import Deaths

logger = logging.getLogger(__name__)

RECENT = 20
"""Entries of a pool's journal in its status."""


def status(worker: WorkController) -> dict[str, Any]:
    """The daemon as one mapping; see ``control.daemon`` for its keys."""
    config, now = worker.config, worker.clock.now()
    return {
        "name": config.name,
        "node": worker.hostname,
        "pid": os.getpid(),
        "version": workerd.__version__,
        "state": worker.state.value.lower(),
        "ready": worker.ready,
        "seconds_left": seconds_left(worker.inbox.until - now),
        "uptime": round(now - worker.started_at, 3),
        "app": config.app,
        "broker": worker.masked_broker,
        "backend": worker.masked_backend,
        "link": link(worker, now),
        "results": results(worker),
        "queues": list(worker.consumer.queues),
        **queues(worker),
        "tasks": worker.dispatcher.totals.as_dict() | held(worker),
        "pools": [
            pool(each, worker.clock.wall() - now, worker.reloads.last)
            | {"autoscale": worker.autoscaler.status(name)}
            for name, each in worker.pools.items()
        ],
        "limits": {task: said(limits) for task, limits in worker.dispatcher.limits.by_task.items()},
        "rates": rates(worker),
        "memory": worker.memory.status(),
        "statedb": worker.statedb.problem,
        "reload": worker.reloads.last,
        "watch": worker.autoreloader.paths if worker.autoreloader is not None else [],
        "beat": worker.beat.status() if worker.beat is not None else {},
        "http": worker.http.status() if worker.http is not None else None,
        "steps": [step.alias for step in worker.steps],
        "info": info(worker),
    }


def seconds_left(until_then: float) -> float | None:
    """How long this part of a stop may still take; None while no stop goes on."""
    return round(max(until_then, 0.0), 1) if math.isfinite(until_then) else None


def link(worker: WorkController, now: float) -> dict[str, Any]:
    """State of the broker link, which broker of the list that is, and, while it is down, why."""
    link = worker.consumer.link
    return {
        "state": link.state.value,
        "broker": shown(worker.consumer.brokers.url),
        "reason": link.reason,
        "seconds": round(now - link.since, 3) if link.since else None,
        "restarts": max(link.restarts, 0),
    }


def queues(worker: WorkController) -> dict[str, Any]:
    """How often the broker has ended our consuming of a queue, and which ones it refuses now, and why."""
    source = worker.consumer.task_source
    info = source.info() if source is not None else {}
    return {name: info.get(name, {}) for name in ("cancelled", "refused")}


def results(worker: WorkController) -> dict[str, Any]:
    """How many results the backend has not confirmed and, while it takes none or not all, why."""
    writer = worker.dispatcher.results
    return {"pending": writer.pending, "problem": writer.problem} if writer is not None else {}


def rates(worker: WorkController) -> dict[str, dict[str, Any]]:
    """How often each limited task may begin, and how many of it wait for their turn."""
    lanes = worker.dispatcher.lanes.values()
    return {
        task: {"rate": bucket_text(bucket), "waiting": sum(lane.turnstile.waiting(task) for lane in lanes)}
        for task, bucket in sorted(worker.dispatcher.rates.limited.items())
    }


def bucket_text(bucket: Bucket | None) -> str:
    """``10/m``, or whose own limit it is."""
    if bucket is not None and not isinstance(bucket, TokenBucket):
        return "by a step"
    return rate_text(bucket.fill_rate if bucket is not None else 0.0)


def held(worker: WorkController) -> dict[str, int]:
    """How many messages this node holds, by how far they have come; ``parked`` are all in the broker."""
    counts = {stage.value: 0 for stage in Stage}
    for request in worker.dispatcher.table:
        counts[request.stage.value] += 1
    source = worker.dispatcher.settler.source
    # What waits in the broker for its ETA is nobody's yet; without a link nobody knows how many they are.
    return counts | {"parked": source.parked if source is not None else 0}


def info(worker: WorkController) -> dict[str, Any]:
    """What the steps that were added tell of themselves, by step, as values that JSON has."""
    found = {}
    for parent in (worker, worker.consumer):
        for step in parent.steps:
            if type(step) in parent.blueprint.built_in:
                continue
            told = parent.blueprint.info_of(step, parent)
            try:
                found[step.alias] = msgspec.to_builtins(told, str_keys=True, enc_hook=str)
            except (TypeError, ValueError, RecursionError) as exc:
                logger.error("The info of %s cannot be shown: %s", step.alias, exc)
    return {alias: told for alias, told in found.items() if told}


def pool(pool: NamedPool, wall_offset: float, reload: str) -> dict[str, Any]:
    """One pool, its queues, its bounds and its children; Unix time is ``wall_offset`` ahead of its clock.

    ``reload`` is what became of the last one.
    """
    lower, upper = pool.bounds
    return {
        "name": pool.name,
        "queues": list(pool.lane.queues),
        "generation": pool.generation,
        "lower": lower,
        "upper": upper,
        "wanted": pool.wanted,
        "reason": pool.reason,
        "alive": pool.alive,
        "busy": pool.busy,
        "degraded": pool.degraded or without_code(pool, reload),
        "deaths": deaths(pool.deaths, wall_offset),
        "children": [asdict(child) for child in pool.children()],
        "spawns": pool.info()["spawns"],
        "journal": [
            entry.plain() | {"at": round(entry.at + wall_offset, 3)} for entry in pool.journal()[-RECENT:]
        ],
    }


def without_code(pool: NamedPool, reload: str) -> str | None:
    """A daemon whose first children could not start has been given code that cannot be loaded at all."""
    return f"nothing runs until the next reload: {reload}" if pool.without_code else None


def deaths(found: Deaths, wall_offset: float) -> dict[str, Any]:
    """How many children have died of what, and the last of them, the newest first; ``at`` is Unix time."""
    last = [
        {
            "at": round(one.when + wall_offset, 3),
            "pid": one.death.pid,
            "cause": one.death.cause.value,
            "words": one.death.words,
            "task": one.title,
        }
        for one in reversed(found.last)
    ]
    return {"counts": {cause.value: count for cause, count in found.counts.items()}, "last": last}


def said(limits: Limits) -> dict[str, float | None]:
    """Of soft and hard those that something is said of; None, as JSON has no infinity, for no limit."""
    pair = {"soft": limits.soft, "hard": limits.hard}
    return {name: None if math.isinf(value) else value for name, value in pair.items() if value is not None}


def in_words(limits: Limits) -> str:
    """``soft 5s, hard none``: what is said of them."""
    pairs = said(limits).items()
    text = ", ".join(f"{name} {'none' if value is None else f'{value:g}s'}" for name, value in pairs)
    return text or "as the task, its pool and the app say"


def leaver(child: ChildInfo) -> dict[str, Any]:
    """A child that would leave, and the task that it would finish first; None for at once."""
    return {"slot": child.slot, "pid": child.pid, "after": child.title or None}


def waiting_for(requests: list[Request], most: int = 5) -> list[str]:
    """The titles of what a drain waits for, the oldest first."""
    running = [request for request in requests if request.stage is Stage.RUNNING]
    running.sort(key=lambda request: request.time_start or 0.0)
    titles = [request.title for request in running[:most]]
    if len(running) > most:
        titles.append(f"and {len(running) - most} more")
    return titles
