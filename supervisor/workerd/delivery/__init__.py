"""Delivery: what this node holds, and the promise that none of it is lost or run twice."""

from workerd.delivery.bucket import Bucket, TokenBucket
from workerd.delivery.dispatcher import Dispatcher
from workerd.delivery.lane import Lane
from workerd.delivery.limits import Limits
from workerd.delivery.outcome import Outcome
from workerd.delivery.prefetch import Prefetch
from workerd.delivery.rates import Buckets
from workerd.delivery.request import Request, Stage, TaskOptions
from workerd.delivery.table import Table

__all__ = [
    "Bucket",
    "Buckets",
    "Dispatcher",
    "Lane",
    "Limits",
    "Outcome",
    "Prefetch",
    "Request",
    "Stage",
    "Table",
    "TaskOptions",
    "TokenBucket",
]
