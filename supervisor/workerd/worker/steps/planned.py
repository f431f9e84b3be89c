"""The steps of both blueprints in their boot order, for those who want to know it and make none of them.

Errors: ConfigError and StepError for steps that cannot be found or ordered.
"""

from __future__ import annotations

from collections.abc import Mapping

from workerd.bootsteps import Step
from workerd.bootsteps.order import Neighbours, Roster, boot_order, edges_of
from workerd.bootsteps.stepset import StepSet
from workerd.worker.consumer.consumer import STEPS as CONSUMER_STEPS
from workerd.worker.controller import STEPS as WORKER_STEPS

Order = tuple[type[Step], ...]


def planned(added: Mapping[str, StepSet]) -> dict[str, Order]:
    """By the name of the blueprint; ``added`` are the steps that are not the daemon's own."""
    worker = Roster("Worker", WORKER_STEPS, added["worker"], Neighbours(later=CONSUMER_STEPS))
    consumer = Roster("Consumer", CONSUMER_STEPS, added["consumer"], Neighbours(before=tuple(worker)))
    return {roster.blueprint: boot_order(roster, edges_of(roster)) for roster in (worker, consumer)}
