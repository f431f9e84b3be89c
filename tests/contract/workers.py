"""A real worker in the test's own process, whose steps are stressed one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from workerd import App
from workerd.bootsteps import Blueprint, StartStopStep
from workerd.config import Config
from workerd.testing.leftovers import descriptors
from workerd.testing.stress import turn
from workerd.worker.controller import WorkController
from workerd.worker.steps.unstarted import unstarted

APP = "tests.support.apps.ledger"


@contextmanager
def worker(home: Path, patch: pytest.MonkeyPatch, app: App, **settings: Any) -> Iterator[WorkController]:
    """A worker that has been made and not started; what it leaves open is a failure."""
    patch.setenv("WORKERD_STATE_DIR", str(home / "s"))
    patch.setenv("WORKERD_RUNTIME_DIR", str(home / "r"))
    before = descriptors()
    config = Config(app=APP, size=(1, 2), watch=True, **settings)
    (home / "r" / config.name).mkdir(parents=True, exist_ok=True)
    with unstarted(app, config) as made:
        made.identity.claim()
        try:
            yield made
        finally:
            for step in reversed(made.steps):
                for hook in ("stop", "shutdown"):
                    if hasattr(step, hook):
                        getattr(step, hook)(made)
            made.memory.stop()
            made.identity.release()
            turn(made.hub)
        left_there = set(made.hub.readers), set(made.hub.writers), made.hub.timer.wait()
    assert left_there == (set(), set(), None), "readers, writers and timers left in the loop"
    left = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not left, f"descriptors left open: {left}"


def all_steps(blueprint: Blueprint, parent: Any) -> dict[str, Any]:
    """Every step of the blueprint by its alias, in boot order; those too that a condition keeps out."""
    for step in blueprint.order:
        if step not in parent.steps and isinstance(step, StartStopStep):
            step.obj = step.create(parent)
    return {step.alias: step for step in blueprint.order}


def needed(steps: dict[str, Any], alias: str) -> list[Any]:
    """What must run for this step, in boot order; for the last one all the others."""
    wanted = set(steps) if steps[alias].last else {alias}
    for name in reversed(list(steps)):
        if name in wanted:
            wanted.update(word for word in steps[name].requires if word in steps)
    return [steps[name] for name in steps if name in wanted - {alias}]


@contextmanager
def running(steps: list[Any], parent: Any) -> Iterator[None]:
    """These steps of ``parent`` run meanwhile."""
    try:
        for step in steps:
            if hasattr(step, "start"):
                step.start(parent)
        yield
    finally:
        for step in reversed(steps):
            if hasattr(step, "stop"):
                step.stop(parent)
