"""What an operator says of the limits of a task: how long a run may take, and how often one may begin.

Units: seconds; 0 is an operator's word for no limit, None for one that stays as it is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workerd.delivery import TaskOptions
from workerd.delivery.limits import NONE, NOTHING, Limits, of_task
from workerd.errors import UsageError, close_matches
from workerd.protocol.rate import Rate
from workerd.worker.status import bucket_text, in_words, said

if TYPE_CHECKING:
    from workerd.worker.controller import WorkController

logger = logging.getLogger(__name__)


def change_limits(
    worker: WorkController, task: str, soft: float | None, hard: float | None, rate: Rate, reset: bool
) -> dict[str, Any]:
    """Change them and tell what they are; see ``control.daemon``."""
    dispatcher, rates = worker.dispatcher, worker.consumer.task_rates
    running = sum(request.message.task == task for request in worker.active_requests)
    _check_known(worker, task, running)
    wanted = Limits(_or_none(soft), _or_none(hard))
    _check_order(wanted.over(dispatcher.limits.by_task.get(task, NOTHING)))
    if reset:
        rates.take_back(task)
        dispatcher.orders.limit(task, None)
    elif rate is not None:
        rates.say(task, rate)
    if wanted != NOTHING:
        dispatcher.orders.limit(task, wanted)
    found = limits_of(worker, task) | {"running": running}
    if reset or rate is not None or wanted != NOTHING:
        live = in_words(dispatcher.limits.by_task.get(task, NOTHING))
        logger.info(
            "Limits of %s changed by an operator: %s, rate %s; %d running", task, live, found["rate"], running
        )
    return found


def replace_time_limits(worker: WorkController, task: str, soft: float | None, hard: float | None) -> None:
    """As remote control means it: of what is not said, or 0, the task has its own again."""
    wanted = Limits(soft or None, hard or None)
    _check_order(wanted)
    worker.dispatcher.orders.limit(task, None)
    running = worker.dispatcher.orders.limit(task, wanted) if wanted != NOTHING else 0
    logger.info("Limits of %s changed by remote control: %s; %d running", task, in_words(wanted), running)


def limits_of(worker: WorkController, task: str) -> dict[str, Any]:
    """``task``, ``pools``, ``rate``, ``waiting``, ``set``; see ``control.daemon``."""
    dispatcher, rates = worker.dispatcher, worker.consumer.task_rates
    live = dispatcher.limits.by_task.get(task, NOTHING)
    options = dispatcher.default.tasks.get(task, TaskOptions())
    pools: dict[str, dict[str, float | None]] = {}
    for lane in dispatcher.lanes.values():
        found = said(live.over(of_task(options, lane.limits)))
        pools[lane.name] = {"soft": found.get("soft"), "hard": found.get("hard")}
    rate = bucket_text(dispatcher.rates.limited.get(task))
    waiting = sum(lane.turnstile.waiting(task) for lane in dispatcher.lanes.values())
    told: dict[str, Any] = dict(said(live))
    if task in rates.said:
        told["rate"] = rate
    return {"task": task, "pools": pools, "rate": rate, "waiting": waiting, "set": told}


def _check_known(worker: WorkController, task: str, running: int) -> None:
    """One that new code has not any more may still run, and what was said of it must not stay for ever."""
    known, rates = worker.dispatcher.default.tasks, worker.consumer.task_rates
    if (
        task not in known
        and task not in worker.dispatcher.limits.by_task
        and task not in rates.said
        and not running
    ):
        near = close_matches(task, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "give its full name, such as proj.add"
        raise UsageError(f"there is no task {task!r}", hint)


def _or_none(seconds: float | None) -> float | None:
    return NONE if seconds == 0 else seconds


def _check_order(limits: Limits) -> None:
    soft, hard = limits.soft, limits.hard
    if soft is not None and hard is not None and hard <= soft < NONE:
        raise UsageError(
            f"a soft limit of {soft:g}s does not come before a hard one of {hard:g}s",
            "change both, or write none for one of them",
        )
