"""The program that serves health and metrics: ``python -m workerd.worker.http.program ADDRESS SOCKET``.

It says where it listens in one JSON line on stdout, ``{"url": ...}``, or ``{"error": ...}`` before it gives
up.  ``SOCKET`` is the daemon's control socket.

Exit codes: 1 when it cannot listen.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from workerd.control.client import ControlClient
from workerd.worker.http.asking import Asking
from workerd.worker.http.pages import Pages

PATIENCE = 60.0
"""For an answer, however late: it tells that the daemon gets on again."""
MOST = 32
"""Clients at a time."""


class Server(ThreadingHTTPServer):
    """Serves ``pages`` on TCP, or on a unix socket that only the daemon's user and group may use."""

    daemon_threads = True
    request_queue_size = MOST

    def __init__(self, address: str, pages: Pages) -> None:
        self.pages = pages
        self._room = threading.BoundedSemaphore(MOST)
        path = address.removeprefix("unix:") if address.startswith("unix:") else ""
        if path:
            self.address_family = socket.AF_UNIX
            self.allow_reuse_address = False
            _clear(path)
        host, _, port = address.rpartition(":")
        if host.startswith("["):
            self.address_family = socket.AF_INET6
        where: Any = path or (host.strip("[]"), int(port))
        before = os.umask(0o117)
        try:
            super().__init__(where, Handler)
        finally:
            os.umask(before)
        self.url = address if path else f"http://{host}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """As the base class of this one does: nobody asks for the name of the host."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(self.allow_reuse_address))
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "workerd", 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """Whoever is one too many is hung up on: probes come again."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone, or sends nonsense, is told nothing and tells nobody anything."""


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD; one request a connection."""

    server: Server
    timeout = 5.0  # for a client that sends nothing
    server_version, sys_version = "workerd", ""

    def do_GET(self) -> None:
        page = self.server.pages.page(self.path, self.headers.get("Accept", ""))
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes come every second; nobody wants to read of them."""


def main(address: str, control: str) -> int:
    """Serve until a signal; the exit code."""
    client = ControlClient(Path(control))
    registry = CollectorRegistry()
    # Its parent is the daemon, whose processor time, memory and descriptors these are.
    ProcessCollector(pid=os.getppid, registry=registry)
    pages = Pages(
        Asking(lambda: client.call("health", patience=PATIENCE)),
        Asking(lambda: client.call("metrics", patience=PATIENCE)),
        registry,
    )
    try:
        server = Server(address, pages)
    except (OSError, OverflowError) as exc:
        say({"error": f"cannot listen on {address}: {getattr(exc, 'strerror', None) or exc}"})
        return 1
    say({"url": server.url})
    server.serve_forever()
    return 0


def say(fact: dict[str, object]) -> None:
    """One line for the daemon."""
    os.write(1, (json.dumps(fact) + "\n").encode())


def _clear(path: str) -> None:
    """Take away the socket of a program that was killed; one that answers is left, and refuses us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except OSError:
            pass


if __name__ == "__main__":
    # The daemon's way to end it, with nothing to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(*sys.argv[1:]))
