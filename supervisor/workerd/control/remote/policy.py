"""What other nodes and clients may ask of this one over the broker.

``allow`` is ``all``, ``read-only``, ``none``, or the names of commands.  With a ``key``, whatever changes
something must be signed with it as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from workerd.clock import Clock
from workerd.control.registry import Command, Door, Registry
from workerd.errors import ConfigError, close_matches
from workerd.protocol.signing import Verifier

ALL, READ_ONLY, NONE = "all", "read-only", "none"


def check_allow(allow: Collection[str], registry: Registry) -> None:
    """ConfigError for the name of a command that does not exist."""
    known = {name for one in registry for name in one.names if Door.BROKER in one.doors}
    for name in allow:
        if name not in known | {ALL, READ_ONLY, NONE}:
            near = close_matches(name, [ALL, READ_ONLY, NONE, *known], n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else "write all, read-only, none, or names of commands"
            )
            raise ConfigError(f"setting 'control.allow' cannot hold {name!r}", hint)


class Policy:
    """Answers why not."""

    def __init__(self, allow: Collection[str], key: str, clock: Clock) -> None:
        self.allow = frozenset(allow)
        self._verifier = Verifier(key, clock) if key else None

    @property
    def deaf(self) -> bool:
        """Nothing at all may be asked."""
        return self.allow == {NONE}

    def refusal(self, command: Command[Any], headers: Mapping[str, Any], body: bytes) -> str:
        """Why this may not be asked; empty when it may."""
        if not self._allowed(command.names, command.changes):
            return f"control.allow is {', '.join(sorted(self.allow))}"
        if command.changes and self._verifier is not None:
            return self._verifier.problem(headers, body)
        return ""

    def trusts(self, headers: Mapping[str, Any], body: bytes) -> bool:
        """Whether ids that another node has revoked are revoked here, too."""
        if not self._allowed(("revoke",), True):
            return False
        return self._verifier is None or not self._verifier.problem(headers, body)

    def _allowed(self, names: Collection[str], changes: bool) -> bool:
        if ALL in self.allow:
            return True
        return (READ_ONLY in self.allow and not changes) or not self.allow.isdisjoint(names)
