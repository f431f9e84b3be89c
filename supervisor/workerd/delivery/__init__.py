"""Delivery: what this node holds, and the promise that none of it is lost or run twice."""

from workerd.delivery.dispatcher import Dispatcher
from workerd.delivery.lane import Lane
from workerd.delivery.limits import Limits
from workerd.delivery.prefetch import Prefetch
from workerd.delivery.request import Request, Stage, TaskOptions
from workerd.delivery.table import Table

__all__ = ["Dispatcher", "Lane", "Limits", "Prefetch", "Request", "Stage", "Table", "TaskOptions"]
