"""The queues that are meant where an operator names none."""

from __future__ import annotations

from workerd.cli.common import Common
from workerd.cli.settings import layers_of
from workerd.errors import UnavailableError


def known_queues(common: Common) -> set[str]:
    """Those of all pools in the settings, and those that the daemon of this name consumes."""
    pools = layers_of(common).config().all_pools().values()
    return {name for pool in pools for name in pool.queues} | served(common)


def served(common: Common) -> set[str]:
    """The queues that the daemon of this name consumes; none when it does not run."""
    try:
        return set(common.client().call("status", patience=1.0).get("queues") or ())
    except UnavailableError:
        return set()
