"""Free loopback ports that stay free while a server is down."""

from __future__ import annotations

import random
import socket
from pathlib import Path


def free_port() -> int:
    """A TCP port of 127.0.0.1 below the range that the kernel gives to clients.

    A port inside that range may be another connection's by the time a server restarts, and a client
    that tries such a port again and again can even connect to itself.
    """
    lowest_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    choose = random.SystemRandom()
    for _ in range(200):
        port = choose.randrange(10_000, max(lowest_of_clients, 20_000))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("found no free port in 200 tries")
