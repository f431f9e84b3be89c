"""``workerd inspect``."""

from __future__ import annotations

from workerd.cli.common import example
from workerd.cli.remote import remote_group

command = remote_group(
    "inspect",
    """Ask the nodes of a cluster how they are, Celery's workers among them.

    The question goes over the broker to all nodes, or to those that --destination names. Commands that the
    app adds are known with --app.""",
    example(
        "workerd inspect active\nworkerd inspect stats -d main --json\nworkerd inspect query_task 4f2a6c1e"
    ),
)
