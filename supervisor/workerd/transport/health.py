"""Notice a half-open link: one whose peer has gone without a word.

The check counts its own ticks, not seconds: after the process was stopped for a minute, one late tick
says nothing about the peer.  Before it judges, it reads what may be waiting.

Units:  seconds; a dead peer is noticed within ``DEADLINE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workerd.transport.loop import Cancelable, Loop

DEADLINE = 28.0


class Link(Protocol):
    """What the check needs of a link."""

    @property
    def busy(self) -> bool: ...

    def read(self) -> None: ...

    def send(self, commands: Sequence[tuple[str, ...]]) -> None: ...

    def lose(self, reason: str) -> None: ...


class HealthCheck:
    """PING an idle link each quarter of the deadline; two silent quarters after it end the link."""

    def __init__(self, loop: Loop, link: Link, deadline: float) -> None:
        self._loop, self._link, self._deadline = loop, link, deadline
        self._heard = True
        self._silent = 0
        self._timer: Cancelable | None = None

    def start(self) -> None:
        self._timer = self._loop.call_repeatedly(self._deadline / 4, self.tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self) -> None:
        """Bytes have come from the peer."""
        self._heard = True

    def tick(self) -> None:
        self._link.read()
        if self._timer is None:  # that read ended the link
            return
        if self._heard:
            self._heard, self._silent = False, 0
        elif not self._link.busy:
            self._link.send([("PING",)])
        else:
            self._silent += 1
            if self._silent == 2:
                self._link.lose(f"no answer for {self._deadline:g} s")
