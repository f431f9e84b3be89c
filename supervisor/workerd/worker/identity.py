"""Who this daemon is to the broker, and who it was.

Work in flight on Redis is filed under an *owner*: one incarnation of one daemon.  A new incarnation may
give the work of an older one back at once, but only with proof that the older one is dead: the flock on the
state directory, which dies with its holder, and the owner that was recorded under it.

Errors: TakenError when another live daemon holds the state directory; PermissionDeniedError; WorkerdError
when the disk is full.
"""

from __future__ import annotations

import json
import logging
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from workerd.control.lock import NameLock
from workerd.errors import WorkerdError
from workerd.paths import own_dir, state_dir

logger = logging.getLogger(__name__)

KEEP = 64
"""Dead incarnations remembered at most; the next link to the broker removes those whose work it gave back."""


class Identity:
    """The owner name of this incarnation and of its dead predecessors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.node = f"{name}@{socket.gethostname()}"
        """How the daemon is called in a cluster."""
        self.directory = state_dir(name)
        self.owner = f"workerd-{name}-{uuid.uuid4().hex[:12]}"
        self.predecessors: tuple[str, ...] = ()
        self._recorded: tuple[str, ...] = ()  # what the record is known to say
        self._lock = NameLock(self.directory / "owner.lock")

    @property
    def _record(self) -> Path:
        return self.directory / "owner.json"

    def claim(self, kept: int | None = None) -> None:
        """Take the state directory, or take over the descriptor that ``keep`` gave before an exec."""
        own_dir(self.directory)
        self._lock.acquire(kept)
        # The oldest are kept: an incarnation that has owned nothing is not recorded at all.
        self.predecessors = self._read()[:KEEP]

    def record(self) -> None:
        """This incarnation is about to own something."""
        self._write((*self.predecessors, self.owner))

    def recovered(self) -> None:
        """The predecessors' work has been given back: they need not be asked for again."""
        if self.predecessors:
            self.predecessors = ()
            with suppress(WorkerdError):  # the next start asks for them in vain, that is all
                self._write((self.owner,))

    def keep(self) -> int:
        """Let the claim outlive an exec; the descriptor to give to ``claim`` there."""
        return self._lock.keep()

    def release(self) -> None:
        """Leave the state directory to the next incarnation."""
        self._lock.release()

    def _read(self) -> tuple[str, ...]:
        try:
            owners = json.loads(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ()
        except ValueError:
            # Never cut off by a crash of ours, which replaces the file; a disk may have spoilt it.
            logger.warning("%s cannot be read: work of earlier incarnations is not asked for", self._record)
            return ()
        return tuple(str(owner) for owner in owners) if isinstance(owners, list) else ()

    def _write(self, owners: tuple[str, ...]) -> None:
        if owners == self._recorded:
            return  # a disk that is full by now does not matter
        fresh = self._record.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(owners), encoding="utf-8")
            fresh.replace(self._record)
        except OSError as exc:
            raise WorkerdError(f"cannot write {fresh}: {exc.strerror}", "make room on that disk") from exc
        self._recorded = owners
