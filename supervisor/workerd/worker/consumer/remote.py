"""How this node takes part in remote control, by its settings and those of its app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workerd.control.remote.pidbox import Manner
from workerd.control.remote.policy import Policy, check_allow

if TYPE_CHECKING:
    from workerd.worker.consumer.consumer import Consumer

RUNS_CODE = frozenset({"pickle", "application/x-python-serialize", "yaml", "application/x-yaml"})
"""A supervisor reads nothing that could name code to run, whatever the app accepts for its tasks."""


def policy_of(c: Consumer) -> Policy:
    """What others may ask of this node.  Errors: ConfigError."""
    config, worker = c.controller.config.control, c.controller
    check_allow(config.allow, worker.commands)
    return Policy(config.allow, config.key, worker.clock)


def manner_of(c: Consumer) -> Manner:
    """In which form it is asked and answers."""
    conf = c.app.conf
    return Manner(
        exchange=f"{conf.control_exchange}.pidbox",
        reply_exchange=f"reply.{conf.control_exchange}.pidbox",
        serializer=conf.task_serializer,
        accept=tuple(name for name in conf.accept_content if name not in RUNS_CODE),
        key=c.controller.config.control.key,
    )
