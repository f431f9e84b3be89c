"""``workerd control``."""

from __future__ import annotations

from workerd.cli.common import example
from workerd.cli.remote import remote_group

command = remote_group(
    "control",
    """Have the nodes of a cluster change something, Celery's workers among them.

    The request goes over the broker to all nodes, or to those that --destination names, and is signed when
    the settings have a `control.key`. Commands that the app adds are known with --app.""",
    example("workerd control revoke 4f2a6c1e\nworkerd control rate_limit proj.add 10/m -d main"),
)
