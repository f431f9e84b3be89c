"""A TCP proxy of the tests: the link between a daemon and its broker, with the faults that links have.

with Proxy(server.port) as proxy:
    daemon = start(broker=proxy.url(server.url))
    proxy.cut()

Each call returns once the fault is there; ``resume`` ends those that last.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from tests.support.link import Link, Pace, Pipe
from tests.support.ports import free_port

Way = Literal["both", "up", "down"]
"""``up`` is from the client to the server."""


class Proxy:
    """Carries 127.0.0.1:``port`` to 127.0.0.1:``upstream``, in a thread of its own."""

    def __init__(self, upstream: int) -> None:
        self.upstream, self.port = upstream, free_port()
        self.accepted = 0
        """How many connections there have been."""
        self.carried = 0
        """How many bytes have been handed on, in both directions."""
        self.links: list[Link] = []
        self._frozen: frozenset[str] = frozenset()
        self._pace = Pace()
        self._break_at: tuple[int, bool] | None = None  # (bytes carried by then, whether by a reset)
        self._door: socket.socket | None = None
        self._orders: list[tuple[Callable[[], object], Future[None]]] = []
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._open_door()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, url: str) -> str:
        """The server's ``url``, through the proxy."""
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    # -- the faults --------------------------------------------------------------------------------

    def cut(self) -> None:
        """End all connections in order (FIN to both sides); new ones are taken."""
        self._order(partial(self._end, reset=False))

    def reset(self) -> None:
        """End all connections by RST; new ones are taken."""
        self._order(partial(self._end, reset=True))

    def break_after(self, count: int, *, reset: bool = False) -> None:
        """End all connections once ``count`` more bytes have been carried, whatever that cuts in two."""
        self._order(lambda: setattr(self, "_break_at", (self.carried + count, reset)))

    def freeze(self, way: Way = "both") -> None:
        """Carry nothing that way and tell nobody: half-open.  With ``down``, requests still arrive.

        New connections are taken by the kernel, and nothing answers them either.
        """
        ways = frozenset(("up", "down") if way == "both" else (way,))
        self._order(lambda: setattr(self, "_frozen", ways))

    def slow(self, delay: float = 0.0, rate: float = 0.0) -> None:
        """Each byte takes ``delay`` s, and a direction carries ``rate`` bytes a second (0: no bound)."""
        self._order(lambda: setattr(self, "_pace", Pace(delay, rate)))

    def refuse(self) -> None:
        """Refuse new connections; those that are there go on."""
        self._order(self._close_door)

    def resume(self) -> None:
        """End every fault: what a freeze held flows on, new connections are taken, at full speed."""
        self._order(self._recover)

    def close(self) -> None:
        """End all connections and the proxy itself; nothing happens the second time."""
        if self._thread.is_alive():
            self._order(lambda: setattr(self, "_closing", True))
            self._thread.join()

    # -- in the thread -----------------------------------------------------------------------------

    def _order(self, act: Callable[[], object]) -> None:
        done: Future[None] = Future()
        self._orders.append((act, done))
        self._wake.send(b"!")
        done.result(timeout=20)

    def _serve(self) -> None:
        try:
            while not self._closing:
                self._turn()
        finally:
            self._end(reset=False)
            self._close_door()
            self._wake.close()
            self._woken.close()

    def _turn(self) -> None:
        now = time.monotonic()
        wanted: Counter[int] = Counter({self._woken.fileno(): select.POLLIN})
        if self._door is not None and self._frozen != {"up", "down"}:
            wanted[self._door.fileno()] = select.POLLIN
        wait: float | None = None
        for pipe in self._pipes():
            if pipe.hungry:
                wanted[pipe.source.fileno()] |= select.POLLIN
            if (due := pipe.due()) is not None and due <= now:
                wanted[pipe.target.fileno()] |= select.POLLOUT
            elif due is not None:
                wait = due - now if wait is None else min(wait, due - now)
        poll = select.poll()
        for fd, mask in wanted.items():
            poll.register(fd, mask)
        ready = dict(poll.poll(None if wait is None else wait * 1000 + 1))
        if self._door is not None and self._door.fileno() in ready:
            self._accept()
        for link in list(self.links):
            self._carry(link, ready)
        if self._woken.fileno() in ready:
            self._obey()

    def _pipes(self) -> list[Pipe]:
        return [pipe for link in self.links for pipe in self._open(link)]

    def _open(self, link: Link) -> list[Pipe]:
        pipes = {"up": link.up, "down": link.down}
        return [pipe for way, pipe in pipes.items() if way not in self._frozen]

    def _carry(self, link: Link, ready: dict[int, int]) -> None:
        now, failed = time.monotonic(), select.POLLHUP | select.POLLERR
        try:
            for pipe in self._open(link):
                if pipe.hungry and ready.get(pipe.source.fileno(), 0) & (select.POLLIN | failed):
                    pipe.read(now, self._pace)
                self.carried += pipe.write(now, self._room())
                if self._room() == 0:
                    assert self._break_at is not None
                    self._end(reset=self._break_at[1])
                    return
        except OSError:  # one side has reset it: so does the other side's end
            self._drop(link, reset=True)
            return
        if link.done:
            self._drop(link, reset=False)

    def _room(self) -> int:
        """How many bytes may be carried before the link is to break."""
        return self._break_at[0] - self.carried if self._break_at else 1 << 30

    def _accept(self) -> None:
        assert self._door is not None
        client, _ = self._door.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream), timeout=5)
        except OSError:
            Link(client, socket.socket()).close(reset=True)
            return
        self.links.append(Link(client, server))

    def _obey(self) -> None:
        self._woken.recv(4096)
        while self._orders:
            act, done = self._orders.pop(0)
            act()
            done.set_result(None)

    def _end(self, *, reset: bool) -> None:
        self._break_at = None
        for link in list(self.links):
            self._drop(link, reset=reset)

    def _drop(self, link: Link, *, reset: bool) -> None:
        with contextlib.suppress(ValueError):  # gone with all others
            self.links.remove(link)
        link.close(reset=reset)

    def _recover(self) -> None:
        self._frozen, self._pace, self._break_at = frozenset(), Pace(), None
        self._open_door()

    def _open_door(self) -> None:
        if self._door is None:
            self._door = socket.socket()
            self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._door.bind(("127.0.0.1", self.port))
            self._door.listen(128)

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
