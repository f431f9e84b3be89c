"""Bootsteps: the ordered parts of which a daemon is made, and the way to add one's own.

A *step* is a class with life-cycle hooks.  A *blueprint* orders steps, starts them in that order and
stops them in reverse.  Steps are added as classes: ``app.steps["worker"].add(MyStep)``.
"""

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
