"""Notifier: the words that a service manager is told, as datagrams.

The socket is the one that the variable ``NOTIFY_SOCKET`` names.  Without it nobody listens, and telling is
free.  The variables are taken out of the environment, because nobody but the supervisor may speak for the
daemon; over an exec they are put back.

Units:  ``watchdog`` in seconds.
Errors: none.  What cannot be sent now is sent before the next word; an address that is gone is logged once.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Iterable, MutableMapping

logger = logging.getLogger(__name__)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
MOST_WAITING = 20
"""Messages that are kept while the manager does not read; of more, the oldest go."""
STATUS_LENGTH = 300


class Notifier:
    """Speaks to the manager, or to nobody."""

    def __init__(self, variables: MutableMapping[str, str] | None = None) -> None:
        environ = os.environ if variables is None else variables
        self._given = {name: environ.pop(name) for name in VARIABLES if name in environ}
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._status = ""
        if (path := self._given.get("NOTIFY_SOCKET", "")).startswith(("/", "@")):
            # An address that begins with @ is an abstract one, which the kernel spells with a zero.
            self._address = f"\0{path[1:]}" if path.startswith("@") else path
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @property
    def listening(self) -> bool:
        """Somebody is told."""
        return self._socket is not None

    @property
    def watchdog(self) -> float | None:
        """Within how many seconds the manager wants a sign of life; None if it does not."""
        usec, pid = self._given.get("WATCHDOG_USEC", ""), self._given.get("WATCHDOG_PID", str(os.getpid()))
        if not self.listening or not usec.isdigit() or pid != str(os.getpid()):
            return None
        return int(usec) / 1e6 or None

    def tell(self, *words: str, status: str = "") -> None:
        """Send assignments such as ``READY=1`` together, after those that could not be sent before.

        ``status`` is the one line that ``systemctl status`` shows; the same line again is not sent.
        """
        if status and status != self._status:
            self._status = status
            words = (*words, "STATUS=" + " ".join(status.split())[:STATUS_LENGTH])
        if words:
            self._waiting.append("\n".join(words).encode("utf-8", "backslashreplace"))
        while self._socket is not None and self._waiting and self._sent(self._socket, self._waiting[0]):
            self._waiting.popleft()

    def give_back(self, variables: MutableMapping[str, str] | None = None) -> None:
        """The image that replaces this one will speak to the manager."""
        (os.environ if variables is None else variables).update(self._given)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _sent(self, sock: socket.socket, message: bytes) -> bool:
        try:
            sock.sendto(message, self._address)
        except BlockingIOError:
            return False
        except OSError as exc:
            logger.warning("The service manager cannot be told anything any more: %s", exc)
            self.close()
        return True


def usec(name: str, seconds: float) -> str:
    """An assignment of a time, such as ``EXTEND_TIMEOUT_USEC=10000000``."""
    return f"{name}={round(seconds * 1e6)}"


def joined(parts: Iterable[str]) -> str:
    """What there is to say, in one line."""
    return "; ".join(part for part in parts if part)
