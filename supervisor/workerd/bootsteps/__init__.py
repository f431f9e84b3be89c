"""Bootsteps: the ordered parts of which a daemon is made, and the way to add one's own.

A *step* is a class with life-cycle hooks.  A *blueprint* orders steps, starts them in that order and
stops them in reverse.  Steps are added as classes: ``app.steps["worker"].add(MyStep)``.

Names load on first use (PEP 562): an app whose steps are none, or are written as classes, needs no blueprint.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.bootsteps.blueprint import Blueprint
    from workerd.bootsteps.consumer_step import ConsumerStep
    from workerd.bootsteps.life import CLOSE, RUN, TERMINATE, State
    from workerd.bootsteps.steps import StartStopStep, Step
    from workerd.bootsteps.stepset import StepSet

__all__ = [
    "CLOSE",
    "RUN",
    "TERMINATE",
    "Blueprint",
    "ConsumerStep",
    "StartStopStep",
    "State",
    "Step",
    "StepSet",
]

_HOMES = {
    "Blueprint": "blueprint",
    "CLOSE": "life",
    "ConsumerStep": "consumer_step",
    "RUN": "life",
    "StartStopStep": "steps",
    "State": "life",
    "Step": "steps",
    "StepSet": "stepset",
    "TERMINATE": "life",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"workerd.bootsteps.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'workerd.bootsteps' has no attribute {name!r}")
