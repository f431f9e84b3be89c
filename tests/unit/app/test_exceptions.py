"""Where an app author finds the exceptions."""

from __future__ import annotations

import billiard.exceptions
import celery.exceptions

import workerd
import workerd_pool
from workerd import exceptions


def test_every_name_is_there_and_means_one_class() -> None:
    for name in exceptions.__all__:
        assert issubclass(getattr(exceptions, name), BaseException)
    assert exceptions.SoftTimeLimitExceeded is celery.exceptions.SoftTimeLimitExceeded
    assert exceptions.WorkerLostError is billiard.exceptions.WorkerLostError
    assert workerd.MemoryLimitExceeded is exceptions.MemoryLimitExceeded is workerd_pool.MemoryLimitExceeded


def test_whoever_catches_a_want_of_memory_catches_the_limit_too() -> None:
    assert issubclass(exceptions.MemoryLimitExceeded, MemoryError)
