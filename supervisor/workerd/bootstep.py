"""The other name of ``workerd.bootsteps``, for steps that were written with ``bootstep.ConsumerStep``."""

from workerd.bootsteps import Blueprint, ConsumerStep, StartStopStep, Step

__all__ = ["Blueprint", "ConsumerStep", "StartStopStep", "Step"]
